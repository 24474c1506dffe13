package breaker

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRests(t *testing.T) {
	f := func(settings Settings, k kind, step int, shortest, longest time.Duration) {
		t.Helper()
		rests := New(settings, 0).scale(k)
		if got := rests.between(step, 0); got != shortest {
			t.Errorf("rest %d is at least %v, want %v", step, got, shortest)
		}
		if got := rests.between(step, math.MaxUint64); got != longest {
			t.Errorf("rest %d is at most %v, want %v", step, got, longest)
		}
	}
	f(Settings{}, open, 0, time.Second, 1100*time.Millisecond)
	f(Settings{}, openProbing, 1, 2*time.Second, 2200*time.Millisecond)
	f(Settings{}, open, 2, 4*time.Second, 4400*time.Millisecond)
	f(Settings{}, open, 3, 8*time.Second, 8800*time.Millisecond)
	f(Settings{}, open, 4, 16*time.Second, 17600*time.Millisecond)
	f(Settings{}, open, 5, 30*time.Second, 30*time.Second)
	f(Settings{}, open, mostSteps, 30*time.Second, 30*time.Second)
	f(Settings{}, auth, 0, time.Minute, 66*time.Second)
	f(Settings{}, authProbing, 4, 10*time.Minute, 10*time.Minute)
	f(Settings{MaxRest: 5 * time.Second}, open, 2, 4*time.Second, 4400*time.Millisecond)
	f(Settings{MaxRest: 5 * time.Second}, open, 3, 5*time.Second, 5*time.Second)
	f(Settings{MaxRest: time.Millisecond}, open, 0, time.Millisecond, time.Millisecond)
	f(Settings{MaxRest: math.MaxInt64}, open, mostSteps, 1<<31*time.Second, 1<<31*time.Second/10*11)
}

// Gateways that saw the same failures come back at different times.
func TestRestsDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for seed := range uint64(1000) {
		b := New(Settings{}, seed)
		seen[b.scale(open).between(3, b.random(3)).Truncate(10*time.Millisecond)] = true
	}
	if len(seen) < 75 { // of 80 hundredths of a second
		t.Errorf("1000 seeds share %d rests", len(seen))
	}
}

func TestDefaults(t *testing.T) {
	want := Settings{
		Consecutive: 5, RatioPercent: 50, MinRequests: 20, Window: 10 * time.Second,
		BaseRest: time.Second, MaxRest: 30 * time.Second, Probe: 30 * time.Second,
		Refusals: 3, AuthRest: time.Minute, MaxAuthRest: 10 * time.Minute, MaxLimited: time.Minute,
	}
	if got := (Settings{}).withDefaults(); got != want {
		t.Errorf("defaults are %+v, want %+v", got, want)
	}
	if got := want.withDefaults(); got != want {
		t.Errorf("defaults became %+v", got)
	}
	odd := Settings{Consecutive: 1 << 40, Refusals: 1 << 40, Window: 1}.withDefaults()
	if odd.Consecutive != MaxConsecutive || odd.Refusals != MaxRefusals || odd.Window < slots {
		t.Errorf("out of range: %+v", odd)
	}
}

func TestWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := rapid.Uint64Range(0, 1<<termBits-1).Draw(t, "term")
		k := kind(rapid.IntRange(int(closed), int(authProbing)).Draw(t, "kind"))
		step := rapid.IntRange(0, mostSteps).Draw(t, "step")
		now := rapid.Int64Range(0, 1<<62).Draw(t, "now")
		left := rapid.Int64Range(0, 3600*s).Draw(t, "left")

		w := newWord(term, k, step, now/ms*ms+left)
		if w.term() != term || w.kind() != k || w.step() != step || w.left(now) != (left+ms-1)/ms {
			t.Errorf("%x is term %d, kind %d, step %d, %d ms left", w, w.term(), w.kind(), w.step(), w.left(now))
		}
	})
}
