package loadgen

import (
	"fmt"
	"slices"
	"time"
)

// Report is what one target, or two in turn, did in some rounds of one plan.
type Report struct {
	Plan    Plan
	Targets []Measured
}

// Measured is one target's part: a Result a round.
type Measured struct {
	Name   string
	Rounds []*Result
}

// Sum is all rounds as one.
func (m *Measured) Sum() *Result {
	sum := &Result{}
	for _, r := range m.Rounds {
		sum.Merge(r)
	}
	return sum
}

// answered is how many right answers came in a second, while the plan's time
// ran.
func (m *Measured) answered(p *Plan) float64 {
	var n int64
	for _, r := range m.Rounds {
		n += r.InTime
	}
	if len(m.Rounds) == 0 || p.Time <= 0 {
		return 0
	}
	return float64(n) / (p.Time.Seconds() * float64(len(m.Rounds)))
}

// share is a column: a quantile by its name.
type share struct {
	name string
	q    float64
}

var shares = []share{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

// measure is a row: one of the histograms of a Result.
type measure struct {
	name string
	of   func(*Result) *Histogram
}

var measures = []measure{
	{"latency", func(r *Result) *Histogram { return &r.Latency }},
	{"first byte", func(r *Result) *Histogram { return &r.FirstByte }},
	{"first event", func(r *Result) *Histogram { return &r.FirstEvent }},
	{"gap", func(r *Result) *Histogram { return &r.Gap }},
	{"one way", func(r *Result) *Histogram { return &r.Delay }},
}

// Ratio is the first target's time by the second's: in the middle one of the
// rounds, in the least and in the most. By a time of 0 it is 0.
type Ratio struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// String is the ratio with its spread.
func (r Ratio) String() string {
	if r.Least == r.Most {
		return fmt.Sprintf("%.2f", r.Median)
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Median, r.Least, r.Most)
}

// ratio divides within each round: what slows the machine down for a while
// slows both targets down.
func (r *Report) ratio(m measure, q float64) Ratio {
	a, b := &r.Targets[0], &r.Targets[1]
	var each []float64
	for i := range a.Rounds {
		each = append(each, quotient(m.of(a.Rounds[i]), m.of(b.Rounds[i]), q))
	}
	slices.Sort(each)
	n := len(each)
	return Ratio{Median: (each[(n-1)/2] + each[n/2]) / 2, Least: each[0], Most: each[n-1]}
}

// ratios reports whether two targets can be compared by a measure.
func (r *Report) ratios(m measure) bool {
	missing := func(t Measured) bool { return m.of(t.Sum()).Count() == 0 }
	return len(r.Targets) == 2 && !slices.ContainsFunc(r.Targets, missing)
}

func quotient(a, b *Histogram, q float64) float64 {
	if b.Quantile(q) == 0 {
		return 0
	}
	return float64(a.Quantile(q)) / float64(b.Quantile(q))
}

// Wrong is how many answers were not as they should be, of all targets.
func (r *Report) Wrong() (n int64) {
	for i := range r.Targets {
		n += r.Targets[i].Sum().Wrong()
	}
	return n
}

// short is a time in three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}
