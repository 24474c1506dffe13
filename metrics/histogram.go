package metrics

import (
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// histogram counts values in buckets with fixed upper bounds.
//
// Values, bounds and the sum are whole numbers of a unit that the bounds name,
// so that observing is a search and two atomic additions. (The library's
// histogram holds a mutex while it formats: a request would wait for a scrape.)
// The zero value is not ready; init is called once, before it is shared.
type histogram struct {
	bounds *bounds
	counts []atomic.Uint64 // one more than bounds: the last is +Inf
	sum    atomic.Uint64   // wraps after 2^64 units
}

func (h *histogram) init(b *bounds) {
	h.bounds = b
	h.counts = make([]atomic.Uint64, len(b.upper)+1)
}

func (h *histogram) observe(v int64) {
	v = max(v, 0) // a clock that stepped back is no reason to lose the count
	i := 0
	for i < len(h.bounds.upper) && v > h.bounds.upper[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(uint64(v))
}

// count is the number of observations.
func (h *histogram) count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// lines is how many time series h is.
func (b *bounds) lines() int64 { return int64(len(b.upper)) + 3 }

// bounds are the upper bounds of one family's buckets.
type bounds struct {
	unit  float64  // how much 1 is, in what the metric is named for
	upper []int64  // inclusive, rising, in units
	le    []string // as they are printed
}

func newBounds(unit float64, upper ...float64) *bounds {
	b := &bounds{unit: unit}
	for _, u := range upper {
		b.upper = append(b.upper, int64(math.Round(u/unit)))
		b.le = append(b.le, strconv.FormatFloat(u, 'g', -1, 64))
	}
	if !slices.IsSorted(b.upper) {
		panic("BUG: bounds of a histogram must rise")
	}
	return b
}

// At most 16 buckets each: every one is a series for each model, provider and key.
// A sum of microseconds wraps after 584,000 years, one of nanoseconds after 584.
var (
	requestBuckets  = newBounds(1e-6, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
	ttftBuckets     = newBounds(1e-6, .005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
	overheadBuckets = newBounds(1e-9, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .1, 1)
	speedBuckets    = newBounds(1e-3, 1, 2, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000)
)

// Durations is a histogram of times.
type Durations struct {
	histogram
	perUnit time.Duration
}

func (d *Durations) init(b *bounds) {
	d.histogram.init(b)
	d.perUnit = time.Duration(math.Round(b.unit * float64(time.Second)))
}

// Observe counts one duration; a negative one counts as none.
func (d *Durations) Observe(took time.Duration) { d.observe(int64(took / d.perUnit)) }

// Speeds is a histogram of tokens per second.
type Speeds struct{ histogram }

// Observe counts one speed; what is not a number or below zero is left out.
func (s *Speeds) Observe(perSecond float64) {
	const most = 1e12
	if perSecond >= 0 {
		s.observe(int64(min(perSecond, most) / s.bounds.unit))
	}
}
