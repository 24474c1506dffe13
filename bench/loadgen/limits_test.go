package loadgen

import (
	"slices"
	"testing"
	"time"
)

// TestLimitsThatAreNotKeptAreNamed: those of the first target, at each rate.
func TestLimitsThatAreNotKeptAreNamed(t *testing.T) {
	most := func(measure, share string, d time.Duration) Limits {
		return Limits{Errors: 1, Times: []TimeLimit{{measure, share, d}}}
	}
	wrong := func(share float64) *Report {
		r := twoTargets()
		first := r.Targets[0].Rounds[0]
		first.Requests, first.Right = 1000, 1000-int64(1000*share)
		r.Targets[0].Rounds = r.Targets[0].Rounds[:1]
		r.Targets[1].Rounds = r.Targets[1].Rounds[:1]
		return r
	}
	f := func(s Sweep, l Limits, want ...string) {
		t.Helper()
		if got := s.Exceeded(l); !slices.Equal(got, want) {
			t.Errorf("%+v: %q; want %q", l, got, want)
		}
	}
	two := Sweep{twoTargets()}
	f(two, Limits{})
	f(two, most("latency", "p99", 6*time.Millisecond))
	f(two, most("latency", "p99", 5*time.Millisecond), "latency p99 6.00 ms, above 5ms")
	f(two, most("latency", "p50", 2001*time.Microsecond))
	f(two, most("first byte", "p99", 2*time.Millisecond), "first byte p99 3.00 ms, above 2ms")
	f(two, most("one way", "p99", time.Hour), "no one way to hold against 1h0m0s")
	f(two, Limits{Ratio: 3})
	f(two, Limits{Ratio: 2.4}, "latency ratio p50 2.50 (2.00-3.00), above 2.4")
	f(Sweep{wrong(0.01)}, Limits{Errors: 0.01})
	f(Sweep{wrong(0.02)}, Limits{Errors: 0.01}, "2% of 1000 answers wrong, above 1%")
	f(Sweep{wrong(1)}, Limits{Errors: 1})
	f(Sweep{wrong(0.001)}, Limits{}, "0.1% of 1000 answers wrong, above 0%")
	f(two, Limits{Answered: 1}, "0 answered a second, below 1")

	// At the rate at which it happened.
	quicker := twoTargets()
	quicker.Plan.Rate = 50
	quicker.Targets[0].Rounds = []*Result{took(time.Millisecond), took(time.Millisecond)}
	f(Sweep{quicker, twoTargets()}, most("latency", "p99", 5*time.Millisecond), "latency p99 6.00 ms, above 5ms at 200/s")
}
