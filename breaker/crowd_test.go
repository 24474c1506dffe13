package breaker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd runs f in many goroutines at once.
func crowd(f func(me int)) {
	var all sync.WaitGroup
	for me := range 8 {
		all.Go(func() { f(me) })
	}
	all.Wait()
}

// Of all who come after a rest one is the probe, time after time, whatever it
// finds out.
func TestOneProbeAtATime(t *testing.T) {
	for seed := range uint64(20) {
		probeInACrowd(t, seed)
	}
}

// probeInACrowd has a crowd make a hundred probes. The clock goes on with each
// report, by more than a rest; all in all by less than disorder, so that
// whoever was held up is not taken for a clock that was set back.
func probeInACrowd(t *testing.T, seed uint64) {
	b := New(Settings{
		Consecutive: 1, BaseRest: time.Millisecond, MaxRest: 2 * time.Millisecond,
		AuthRest: time.Millisecond, MaxAuthRest: 2 * time.Millisecond, Probe: time.Hour,
	}, seed)
	var clock, under, probes atomic.Int64
	clock.Store(start)
	outcomes := []func(Pass, int64){b.Succeeded, b.Failed, b.Refused, b.Abandoned}
	crowd(func(int) {
		for probes.Load() < 100 {
			now := clock.Load()
			p, ok := b.Enter(now)
			if p.Probe() {
				if n := under.Add(1); n != 1 {
					t.Errorf("seed %d: %d probes at once", seed, n)
				}
				runtime.Gosched()
				under.Add(-1)
				outcomes[probes.Add(1)%4](p, now)
			} else {
				b.Failed(p, now) // if it was not admitted, this changes nothing
			}
			if ok {
				clock.Add(3 * ms)
			} else {
				runtime.Gosched()
			}
		}
	})
}

// At one instant a crowd gets one probe, and a crowd that fails opens once.
func TestCrowdAtOneInstant(t *testing.T) {
	for round := range 200 {
		b := New(Settings{}, uint64(round))
		var admitted atomic.Int64
		crowd(func(int) {
			for range 5 {
				p, _ := b.Enter(start)
				b.Failed(p, start)
			}
		})
		if b.State(start) != Open || b.Ejections() != 1 {
			t.Fatalf("%v after %d ejections, want open after 1", b.State(start), b.Ejections())
		}
		crowd(func(int) {
			if _, ok := b.Enter(start + 2*s); ok {
				admitted.Add(1)
			}
		})
		if admitted.Load() != 1 {
			t.Fatalf("%d were let through after the rest, want 1", admitted.Load())
		}
	}
}

// Two who see the end of a rest in the same nanosecond: one is the probe.
func TestRaceForTheProbe(t *testing.T) {
	const rounds = 20_000
	b := New(Settings{Consecutive: 1}, 1)
	var round, done, probes atomic.Int64
	p, _ := b.Enter(start)
	b.Failed(p, start)
	racer := func() {
		for n := int64(1); n <= rounds; n++ {
			for spun := 0; round.Load() < n; spun++ {
				if spun > 1000 {
					runtime.Gosched()
				}
			}
			now := start + 40*s*n // the rest is over, or the former probe is given up
			if p, ok := b.Enter(now); ok && p.Probe() {
				probes.Add(1)
			}
			if done.Add(1) == 2*n {
				round.Add(1)
			}
		}
	}
	var both sync.WaitGroup
	both.Go(racer)
	both.Go(racer)
	round.Add(1)
	both.Wait()
	if probes.Load() != rounds {
		t.Errorf("%d probes in %d rounds", probes.Load(), rounds)
	}
}

// Nothing is lost in a window that turns under the hands of those who count.
func TestCountsOfACrowd(t *testing.T) {
	const each = 20_000
	r := window{width: s}
	var clock atomic.Int64
	clock.Store(start)
	step := 9 * s / (8 * each) // all of it within the window
	crowd(func(int) {
		for i := range each {
			r.add(clock.Add(step), uint64(i%2), 1)
		}
	})
	failures, requests := r.sum(clock.Load())
	if failures != 8*each/2 || requests != 8*each {
		t.Errorf("counted %d of %d, want %d of %d", failures, requests, 8*each/2, 8*each)
	}
}

// A slot that is full takes no more, and its failures do not run over.
func TestFullSlot(t *testing.T) {
	r := window{width: s}
	for range mostCounted + 1000 {
		r.add(start, 1, 1)
	}
	if failures, requests := r.sum(start); failures != fullSlot || requests != fullSlot {
		t.Errorf("counted %d of %d, want %d of both", failures, requests, fullSlot)
	}
	cut := window{width: s} // answers that break off fail when they are no requests any more
	for range mostCounted + 1000 {
		cut.add(start, 1, 0)
	}
	if failures, requests := cut.sum(start); failures != fullSlot || requests != 0 {
		t.Errorf("counted %d of %d, want %d of none", failures, requests, fullSlot)
	}
}

// A row of failures that many report is as long as it is.
func TestRowOfACrowd(t *testing.T) {
	const each = 1000
	b := New(Settings{Consecutive: 8*each + 1, MinRequests: 1 << 40}, 1)
	crowd(func(int) {
		for range each {
			p, _ := b.Enter(start)
			b.Failed(p, start)
		}
	})
	if b.State(start) != Closed {
		t.Fatalf("%v one failure too early", b.State(start))
	}
	p, _ := b.Enter(start)
	if b.Failed(p, start); b.State(start) != Open {
		t.Errorf("%v, want open", b.State(start))
	}
}
