package ratelimit

import (
	"math/bits"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = int64(time.Millisecond)

// start is a beginning with odd low bits: nothing may depend on round times.
const start = 123_456_789_012_345

func TestTake(t *testing.T) {
	f := func(limit int64, at []int64, admitted []bool) {
		t.Helper()
		b := newBucket(limit)
		for i, ms := range at {
			if v := b.Take(start + ms*int64(time.Millisecond)); v.OK != admitted[i] {
				t.Errorf("%d per second, request %d at %d ms: admitted is %t, want %t", limit, i, ms, v.OK, admitted[i])
			}
		}
	}
	const yes, no = true, false

	f(0, []int64{0, 1000, 100_000}, []bool{no, no, no})
	f(1, []int64{0, 1, 999, 1000, 1001}, []bool{yes, no, no, yes, no})
	f(2, []int64{0, 0, 0, 999, 1000, 1000, 1000}, []bool{yes, yes, no, no, yes, yes, no})

	// At the limit's own pace, and below it.
	f(2, []int64{0, 500, 1000, 1500, 2000}, []bool{yes, yes, yes, yes, yes})
	f(2, []int64{0, 700, 1400, 2100, 2800}, []bool{yes, yes, yes, yes, yes})

	// Someone who rests as long as his requests are worth has a full bucket.
	f(4, []int64{0, 0, 500, 500, 500, 500, 500, 1499, 1500}, []bool{yes, yes, yes, yes, yes, yes, no, no, yes})

	// A second's worth is not saved up for longer than a second.
	f(1, []int64{0, 60_000, 60_001}, []bool{yes, yes, no})
}

func TestNilAdmitsEverything(t *testing.T) {
	var b *Bucket
	for now := range int64(1000) {
		if v := b.Take(now); !v.OK {
			t.Fatalf("request at %d refused: %+v", now, v)
		}
	}
}

func TestVerdict(t *testing.T) {
	b := newBucket(4)
	f := func(at int64, want Verdict) {
		t.Helper()
		if got := b.Take(start + at*ms); got != want {
			t.Errorf("at %d ms: got %+v, want %+v", at, got, want)
		}
	}
	f(0, Verdict{OK: true, Limit: 4, Remaining: 3, Reset: 250 * time.Millisecond})
	f(100, Verdict{OK: true, Limit: 4, Remaining: 2, Reset: 400 * time.Millisecond})
	f(100, Verdict{OK: true, Limit: 4, Remaining: 1, Reset: 650 * time.Millisecond})
	f(200, Verdict{OK: true, Limit: 4, Remaining: 0, Reset: 800 * time.Millisecond})
	f(300, Verdict{Limit: 4, Reset: 700 * time.Millisecond, RetryAfter: 700 * time.Millisecond})
	f(1000, Verdict{OK: true, Limit: 4, Remaining: 3, Reset: 250 * time.Millisecond})

	if got, want := newBucket(0).Take(start), (Verdict{Reset: time.Minute, RetryAfter: time.Minute}); got != want {
		t.Errorf("limit 0: got %+v, want %+v", got, want)
	}
}

// Whoever hammers gets the limit in every second, the first from rest included,
// and in any second that one picks out.
func TestHammering(t *testing.T) {
	f := func(limit int64, step time.Duration, tolerance int64) {
		t.Helper()
		b := newBucket(limit)
		const seconds = 2
		var halves [2 * seconds]int64
		for at := int64(0); at < seconds*second; at += int64(step) {
			if b.Take(start + at).OK {
				halves[at/(second/2)]++
			}
		}
		for i := range len(halves) - 1 {
			got := halves[i] + halves[i+1]
			if got < limit-tolerance || got > limit+tolerance {
				t.Errorf("%d per second, tried every %v: admitted %d in the second from %.1f s on, want %d±%d",
					limit, step, got, float64(i)/2, limit, tolerance)
			}
		}
	}
	f(1, 10*time.Microsecond, 0)
	f(100, time.Microsecond, 1)
	f(100, 77*time.Microsecond, 1)
	f(100, time.Millisecond, 1)
	f(100, 9*time.Millisecond, 1)
	f(100, 9999*time.Microsecond, 1)
	f(127, 10*time.Microsecond, 1)
	f(128, 10*time.Microsecond, 1)
	f(1000, 10*time.Microsecond, 1)
	f(9_999, 10*time.Microsecond, 1)

	// High limits lose a tick: a second is shorter by 1 µs at 100,000.
	f(100_000, time.Microsecond, 2)
	f(1_000_000, 700*time.Nanosecond, 20)
	f(10_000_000, 90*time.Nanosecond, 3_000)
}

// A second's worth at once, then nothing until the second is over.
func TestBurstFromRest(t *testing.T) {
	f := func(limit, want int64) {
		t.Helper()
		b := newBucket(limit)
		got := int64(0)
		for b.Take(start).OK {
			got++
		}
		if got < want || got > limit {
			t.Errorf("%d per second: %d at once, want %d to %d", limit, got, want, limit)
		}
		if v := b.Take(start + second - second/100); v.OK {
			t.Errorf("%d per second: admitted again after 0.99 s", limit)
		}
		if v := b.Take(start + second); !v.OK {
			t.Errorf("%d per second: refused after 1 s: %+v", limit, v)
		}
	}
	f(1, 1)
	f(100, 100)
	f(10_000, 10_000)
	f(100_000, 100_000)
	f(1_000_000, 999_990)
}

func TestHighestBurst(t *testing.T) {
	if v := newBucket(MaxRate).Take(start); v.Remaining < MaxRate-2_500 {
		t.Errorf("got %+v", v)
	}
}

// Steady below the limit: nobody is ever refused.
func TestBelowTheLimit(t *testing.T) {
	f := func(limit int64, step time.Duration) {
		t.Helper()
		b := newBucket(limit)
		for i := range int64(100_000) {
			if v := b.Take(start + i*int64(step)); !v.OK {
				t.Fatalf("%d per second, one every %v: request %d refused: %+v", limit, step, i, v)
			}
		}
	}
	f(1, time.Second)
	f(3, 333_333_334)
	f(100, 10*time.Millisecond)
	f(1000, time.Millisecond)
	f(9_999, 100_020)
	f(100_000, 10*time.Microsecond)
	f(10_000_000, 100)
	f(300_000_000, 100) // counts as MaxRate
}

// The bucket against the algorithm as its comment tells it, in fractions.
func TestBucketIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.OneOf(rapid.Int64Range(1, 127), rapid.Int64Range(1, 5_000)).Draw(t, "limit")
		tick := int64(1) << newBucket(limit).tickBits()
		// Steps around the limit's pace, around a second, and none.
		pace := second / limit
		step := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 2*pace), rapid.Int64Range(0, pace/2), rapid.Int64Range(0, 2*second))

		b, m := newBucket(limit), model{limit: limit}
		now := rapid.Int64Range(0, 1<<60).Draw(t, "start") / tick * tick
		for i := range rapid.IntRange(100, 400).Draw(t, "requests") {
			now += step.Draw(t, "step") / tick * tick
			got, want := b.Take(now), m.take(now)
			if got != want {
				t.Fatalf("request %d at %d: got %+v, want %+v", i, now, got, want)
			}
		}
	})
}

// model is GCRA with a burst that must end within a second of its beginning.
// Its unit of time is 1/limit ns, in which every booking is whole.
type model struct {
	limit int64
	busy  bool   // there was a burst
	began int64  // it, in ns
	end   uint64 // of the line: how many of the units after began
}

func (m *model) take(now int64) Verdict {
	hi, ahead := bits.Mul64(uint64(now-m.began), uint64(m.limit))
	if !m.busy || hi > 0 || m.end <= ahead {
		m.busy, m.began, m.end, ahead = true, now, 0, 0
	}
	units := uint64(second) * uint64(m.limit) // a second
	v := Verdict{Limit: m.limit}
	if m.end+uint64(second) <= units {
		m.end += uint64(second)
		v.OK = true
	} else {
		v.RetryAfter = time.Duration(second - (now - m.began))
	}
	v.Remaining = int64((units - m.end) / uint64(second))
	v.Reset = time.Duration((m.end - ahead + uint64(m.limit) - 1) / uint64(m.limit))
	return v
}

// Whatever anybody does, w seconds admit at most w+1 seconds' worth (as a token
// bucket of one second's worth), a refusal has its reason in the last second,
// and its RetryAfter is the truth.
func TestEnvelope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 200).Draw(t, "limit")
		step := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 3*second/limit), rapid.Int64Range(0, second))
		b := newBucket(limit)
		now := int64(start)
		var admitted []int64
		for range rapid.IntRange(100, 500).Draw(t, "requests") {
			now += step.Draw(t, "step")
			v := b.Take(now)
			if v.OK {
				admitted = append(admitted, now)
				continue
			}
			if n := countSince(admitted, now-second); n < limit {
				t.Fatalf("refused at %d after only %d in the last second", now, n)
			}
			if v.RetryAfter <= 0 || v.RetryAfter > time.Second {
				t.Fatalf("retry after %v", v.RetryAfter)
			}
			if w := b.peek(now + int64(v.RetryAfter)); !w.OK || w.Remaining != limit-1 {
				t.Fatalf("refused again after %v: %+v", v.RetryAfter, w)
			}
			if w := b.peek(now + int64(v.RetryAfter) - 100); w.OK {
				t.Fatalf("admitted already 100 ns before %v", v.RetryAfter)
			}
		}
		for i, from := range admitted {
			for j := i; j < len(admitted); j++ {
				n, window := int64(j-i+1), admitted[j]-from
				if n*second > limit*(window+second)+second {
					t.Fatalf("%d admitted within %d ns", n, window)
				}
			}
		}
	})
}

// Reset is the truth: at that time, and no sooner, the whole burst is there again.
func TestReset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 127).Draw(t, "limit")
		b := newBucket(limit)
		now := int64(start)
		var v Verdict
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now += rapid.Int64Range(0, second/limit).Draw(t, "step")
			v = b.Take(now)
		}
		if w := b.peek(now + int64(v.Reset)); w.Remaining != limit-1 {
			t.Fatalf("not full after %v: %+v", v.Reset, w)
		}
		if w := b.peek(now + int64(v.Reset) - 1); v.OK && w.Remaining == limit-1 && limit > 1 {
			t.Fatalf("full before %v: %+v", v.Reset, w)
		}
	})
}

// peek is what Take would say, without taking.
func (b *Bucket) peek(now int64) Verdict {
	c := newBucket(b.limit)
	c.word.Store(b.word.Load())
	return c.Take(now)
}

func countSince(times []int64, from int64) (n int64) {
	for _, at := range times {
		if at > from {
			n++
		}
	}
	return n
}

func TestTakeAllocatesNothing(t *testing.T) {
	b := newBucket(100)
	now := int64(start)
	if n := testing.AllocsPerRun(1000, func() { now += 1000; b.Take(now) }); n != 0 {
		t.Errorf("allocations per request: %v", n)
	}
}
