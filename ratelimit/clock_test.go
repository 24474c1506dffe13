package ratelimit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// R50: a clock that jumps gives at most one burst extra, and a client that goes on
// asking is served again within a second of the jump.
func TestClockJumps(t *testing.T) {
	f := func(limit int64, jump time.Duration) {
		t.Helper()
		b := newBucket(limit)
		now := int64(start)
		hammer := func(until int64) (admitted int64, first int64) {
			first = -1
			for began := now; now < until; now += ms {
				if v := b.Take(now); v.OK {
					admitted++
					if first < 0 {
						first = now - began
					}
				} else if v.RetryAfter > time.Second+time.Duration(disorder) || v.Reset < 0 {
					t.Errorf("%d per second, jump %v: %+v", limit, jump, v)
				}
			}
			return admitted, first
		}
		hammer(now + second/2)
		now += int64(jump)
		got, first := hammer(now + second + ms)
		if got > 2*limit {
			t.Errorf("%d per second: %d admitted in the second after a jump of %v", limit, got, jump)
		}
		if first < 0 || first > second {
			t.Errorf("%d per second: first admitted %d ns after a jump of %v", limit, first, jump)
		}
		if got, _ := hammer(now + second); got < limit-1 || got > limit+1 {
			t.Errorf("%d per second: %d admitted in the next second after a jump of %v", limit, got, jump)
		}
	}
	for _, limit := range []int64{1, 100, 999} {
		f(limit, time.Hour)
		f(limit, -time.Hour)
		f(limit, 24*time.Hour)
		f(limit, -24*time.Hour)
		f(limit, -500*time.Millisecond)
		f(limit, -50*time.Millisecond)
		f(limit, 900*time.Millisecond)
		f(limit, time.Duration(-start)) // to 0
		f(limit, time.Duration(-2*start))
		f(limit, 1<<56)
		f(limit, -1<<56)
		f(limit, 1<<57)
	}
}

// However the clock goes, a bucket neither breaks nor blocks for good.
func TestAnyClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, MaxRate).Draw(t, "limit")
		b := newBucket(limit)
		for range rapid.IntRange(1, 50).Draw(t, "requests") {
			now := rapid.Int64().Draw(t, "now")
			v := b.Take(now)
			switch {
			case v.Limit != limit, v.Remaining < 0, v.Remaining >= limit, v.Reset < 0, v.RetryAfter < 0,
				v.Reset > time.Second+time.Duration(disorder), v.RetryAfter > time.Second+time.Duration(disorder):
				t.Fatalf("at %d: %+v", now, v)
			case v.OK != (v.RetryAfter == 0):
				t.Fatalf("at %d: %+v", now, v)
			}
			if w := b.peek(now + int64(v.RetryAfter)); !w.OK && (!v.OK || v.Remaining > 0) {
				t.Fatalf("at %d: %+v, but then the next is refused: %+v", now, v, w)
			}
		}
	})
}

// Goroutines come a little late with their time: that must not move the burst,
// or a crowd of them would shorten every second.
func TestDisorderDoesNotShortenTheSecond(t *testing.T) {
	b := newBucket(10)
	for range 10 {
		b.Take(start)
	}
	for late := range disorder {
		if late%(disorder/100) == 0 && b.Take(start-late).OK {
			t.Fatalf("admitted %d ns before the burst began, when it was used up", late)
		}
	}
	if v := b.Take(start + second - 1); v.OK {
		t.Error("the second was shortened")
	}
	if v := b.Take(start + second); !v.OK {
		t.Errorf("refused after the second: %+v", v)
	}
}
