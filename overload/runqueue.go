package overload

import (
	"math"
	"runtime/metrics"
	"time"
)

// runQueue measures how long the gateway's goroutines wait, ready to run, until
// a CPU takes them: the delay of the one queue that all of its work goes
// through. Providers and clients that take their time are not in it, for who
// waits for them is not ready.
//
// Of each Tick the ninth decile counts, as with Envoy, not the middle: a
// goroutine that was just woken often runs at once however many wait, so that
// the median of a gateway that cannot keep up may be a microsecond.
type runQueue struct {
	sample [1]metrics.Sample
	before []uint64 // counts of the last call
}

func newRunQueue() *runQueue {
	q := &runQueue{}
	q.sample[0].Name = "/sched/latencies:seconds"
	q.delay()
	return q
}

// fewest is how many waits make a decile worth something. The runtime measures
// about every eighth wait.
const fewest = 16

// delay returns what nine of ten waits since the last call were shorter than.
func (q *runQueue) delay() time.Duration {
	metrics.Read(q.sample[:])
	if q.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0 // a runtime that does not tell: no pace is set
	}
	h := q.sample[0].Value.Float64Histogram()
	if q.before == nil {
		q.before = make([]uint64, len(h.Counts))
	}
	for i, n := range h.Counts {
		q.before[i] = n - q.before[i] // now the counts between the calls
	}
	d := ninthDecile(q.before, h.Buckets)
	copy(q.before, h.Counts)
	return d
}

// ninthDecile is the lower bound of the bucket in which nine tenths of the
// counts are reached: the delay is said too short rather than too long.
func ninthDecile(counts []uint64, bounds []float64) time.Duration {
	var all, sum uint64
	for _, n := range counts {
		all += n
	}
	if all < fewest {
		return 0
	}
	for i, n := range counts {
		if sum += n; sum*10 >= all*9 {
			return seconds(bounds[i])
		}
	}
	return 0
}

func seconds(s float64) time.Duration {
	return time.Duration(math.Max(0, math.Min(s, 3600)) * float64(time.Second))
}
