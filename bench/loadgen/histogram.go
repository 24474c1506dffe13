package loadgen

import (
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with the duration:
// 1024 to each power of two, so that a quantile is at most 1/1024 too large:
// three digits, the usual precision of HdrHistogram (https://hdrhistogram.org),
// whose buckets these are. It takes 8 kB for each power of two above a
// microsecond, 160 kB for up to a second, however much is recorded.
//
// The zero value is empty and ready. One goroutine uses it at a time.
type Histogram struct {
	counts []int64 // by bucket; as long as the largest duration needs
	count  int64
	max    time.Duration
}

// fine is how many buckets there are to a power of two; durations below twice
// of it have a bucket each.
const fine = 1024

// Record counts d; what is negative counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(0, d)
	i := bucket(d)
	h.grow(i + 1)
	h.counts[i]++
	h.count++
	h.max = max(h.max, d)
}

// Merge counts all that other has counted.
func (h *Histogram) Merge(other *Histogram) {
	h.grow(len(other.counts))
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() int64 { return h.count }

// Max is the largest of them, exactly; 0 of none.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns what the share q of the durations, from 0 to 1, does not
// exceed: never less than that duration, at most 1/1024 more; 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	// 0.07×100 is a little above 7 in binary: that is not the eighth yet.
	rank := max(1, int64(math.Ceil(q*float64(h.count)*(1-1e-12))))
	for i, n := range h.counts {
		if rank -= n; rank <= 0 {
			return min(ceiling(i), h.max)
		}
	}
	return h.max
}

func (h *Histogram) grow(n int) {
	if n > len(h.counts) {
		h.counts = append(h.counts, make([]int64, n-len(h.counts))...)
	}
}

// bucket is the index for d, which is not negative.
func bucket(d time.Duration) int {
	shift := max(0, bits.Len64(uint64(d))-bits.Len64(2*fine-1))
	return shift*fine + int(uint64(d)>>shift)
}

// ceiling is the largest duration of a bucket.
func ceiling(i int) time.Duration {
	shift := max(0, i/fine-1)
	return time.Duration(uint64(i-shift*fine+1)<<shift - 1)
}
