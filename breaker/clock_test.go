package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const day = 24 * 3600 * s

// A process that was stopped, or a machine that slept, finds every rest over at
// once: it still asks each target with one request, and a probe that was under
// way keeps its word.
func TestStoppedForAWhile(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5).at(31_000)
	probe := x.enter(true)
	for range 100 {
		x.refuse()
	}
	// Stopped again, for longer than a probe is waited for: one more, not many.
	x.at(62_000).enter(true)
	for range 100 {
		x.refuse()
	}
	x.b.Succeeded(probe, x.now)
	x.is(Closed)
}

// What was under way while the process was stopped fails all at once when it
// goes on. That is one absence, for the first rest: it is over in a second.
func TestEverythingTimesOutAtOnce(t *testing.T) {
	x := newTarget(t, Settings{})
	var under []Pass
	for range 500 {
		under = append(under, x.enter(false))
	}
	x.at(30_000)
	for _, p := range under {
		x.b.Failed(p, x.now)
	}
	x.is(Open)
	if x.b.Ejections() != 1 {
		t.Errorf("%d ejections, want 1", x.b.Ejections())
	}
	x.at(30_000 + rests[0]).succeed(1).is(Closed)
}

// A clock that is set back makes no rest longer than the longest of its kind.
func TestClockSetBack(t *testing.T) {
	f := func(by time.Duration, leaveOut func(*target), longest time.Duration) {
		t.Helper()
		x := newTarget(t, Settings{})
		leaveOut(x)
		x.now -= int64(by)
		for after := int64(0); !x.b.Ready(x.now + after); after += 100 * ms {
			if after > int64(longest)+int64(disorder) {
				t.Errorf("set back by %v: not ready after %v", by, time.Duration(after))
				return
			}
		}
	}
	for _, by := range []time.Duration{time.Second, 20 * time.Second, time.Hour, 24 * time.Hour} {
		f(by, func(x *target) { x.fail(5) }, 1100*time.Millisecond)
		f(by, func(x *target) { x.fail(5).at(2000).fail(1).at(6000).fail(1) }, 4400*time.Millisecond)
		f(by, func(x *target) { x.fail(5).at(2000).enter(true) }, 30*time.Second)
		f(by, func(x *target) {
			for range 3 {
				x.b.Refused(x.enter(false), x.now)
			}
		}, 66*time.Second)
		f(by, func(x *target) { x.b.Limited(x.enter(false), x.now, x.now+30*s) }, time.Minute)
	}
}

// Goroutines read the clock before they get here: one that is a little behind
// must not take a fresh rest for an old one.
func TestLateGoroutine(t *testing.T) {
	for seed := range uint64(100) {
		b := New(Settings{Consecutive: 1}, seed)
		p, _ := b.Enter(start)
		b.Failed(p, start)
		for _, late := range []int64{1, ms, 100 * ms, 900 * ms} {
			if b.Ready(start - late) {
				t.Fatalf("seed %d: ready to who is %v late", seed, time.Duration(late))
			}
		}
	}
}

// The window does not mistake old counts for new ones, nor new ones for old,
// when the clock jumps.
func TestWindowAndClock(t *testing.T) {
	f := func(by int64, failures, requests uint64) {
		t.Helper()
		r := window{width: s}
		for range 30 {
			r.add(start, 1, 1)
		}
		r.add(start+by, 0, 1)
		if f, n := r.sum(start + by); f != failures || n != requests {
			t.Errorf("after a jump of %v: %d of %d failed, want %d of %d", time.Duration(by), f, n, failures, requests)
		}
	}
	f(0, 30, 31)
	f(9*s, 30, 31)
	f(10*s, 0, 1)
	f(3600*s, 0, 1)
	f(day, 0, 1)
	f(-s, 0, 1) // what was ahead is not seen until the clock has caught up
	f(-3600*s, 0, 1)
	f(-day, 0, 1)
}

// However the clock jumps, nobody is shut out for ever. What a provider asked
// for may be met twice, when a clock that was set back comes there again.
func TestClockJumps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := New(Settings{}, rapid.Uint64().Draw(t, "seed")), start+30*day
		t.Repeat(map[string]func(*rapid.T){
			"jump":    func(t *rapid.T) { now += rapid.Int64Range(-day, day).Draw(t, "by") },
			"fail":    func(*rapid.T) { p, _ := b.Enter(now); b.Failed(p, now) },
			"refuse":  func(*rapid.T) { p, _ := b.Enter(now); b.Refused(p, now) },
			"limit":   func(*rapid.T) { p, _ := b.Enter(now); b.Limited(p, now, now+s) },
			"succeed": func(*rapid.T) { p, _ := b.Enter(now); b.Succeeded(p, now) },
			"": func(t *rapid.T) {
				longest := int64(b.settings.MaxAuthRest + disorder)
				again := longest + int64(b.settings.MaxLimited+disorder)
				if !b.Ready(now) && !b.Ready(now+longest) && !b.Ready(now+again) {
					t.Fatalf("%v at %d, and not ready %v and %v later", b.State(now), now, time.Duration(longest), time.Duration(again))
				}
			},
		})
	})
}
