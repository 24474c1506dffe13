package ratelimit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestReserve(t *testing.T) {
	a := newAllowance(6000) // 10 ms a token
	f := func(at time.Duration, tokens int64, want Verdict) {
		t.Helper()
		_, got := a.Reserve(tokens, start+int64(at))
		if got != want {
			t.Errorf("%d tokens at %v: got %+v, want %+v", tokens, at, got, want)
		}
	}
	settle := func(at time.Duration, reserved, used int64) { a.Settle(reserved, used, start+int64(at)) }

	f(0, 4000, Verdict{OK: true, Limit: 6000, Remaining: 2000, Reset: 40 * time.Second})
	f(0, 2500, Verdict{Limit: 6000, Remaining: 2000, Reset: 40 * time.Second, RetryAfter: 5 * time.Second})
	f(0, 2000, Verdict{OK: true, Limit: 6000, Remaining: 0, Reset: time.Minute})
	// What is reserved does not refill with time: its requests are not over.
	f(time.Hour, 1, Verdict{Limit: 6000, Remaining: 0, Reset: time.Minute, RetryAfter: 10 * time.Millisecond})
	settle(time.Hour, 4000, 100)
	f(time.Hour, 3900, Verdict{OK: true, Limit: 6000, Remaining: 0, Reset: time.Minute})
	settle(time.Hour, 3900, 0)
	settle(time.Hour, 2000, 0)
	// The 100 are back after a second.
	f(time.Hour+time.Second, 6000, Verdict{OK: true, Limit: 6000, Remaining: 0, Reset: time.Minute})
	// Who uses more than he reserved leaves a debt.
	settle(time.Hour+time.Second, 6000, 12_000)
	f(time.Hour+time.Second, 1, Verdict{Limit: 6000, Remaining: 0, Reset: 2 * time.Minute, RetryAfter: time.Minute + 10*time.Millisecond})
	f(time.Hour+time.Second+time.Minute, 0, Verdict{OK: true, Limit: 6000, Remaining: 0, Reset: time.Minute})
	// More than the limit is let in when all is free.
	f(2*time.Hour, 1_000_000, Verdict{OK: true, Limit: 6000, Remaining: 0, Reset: time.Minute})
}

func TestNoAllowance(t *testing.T) {
	var none *Allowance
	if n, v := none.Reserve(1<<60, 0); !v.OK || n != 0 {
		t.Errorf("nil: %d, %+v", n, v)
	}
	none.Settle(1, 1, 0)
	if n, v := newAllowance(0).Reserve(1, start); v.OK || n != 0 || v.RetryAfter != time.Minute {
		t.Errorf("0: %d, %+v", n, v)
	}
}

// A changed limit keeps the part of the minute that is used.
func TestAllowanceChanges(t *testing.T) {
	m := NewBuckets()
	a := m.Allowance(7, 1000)
	n, _ := a.Reserve(500, start)
	a.Settle(n, 500, start)
	if b := m.Allowance(7, 100); b != a {
		t.Fatal("another allowance")
	}
	if _, v := a.Reserve(50, start); !v.OK || v.Remaining != 0 {
		t.Errorf("half of 100: %+v", v)
	}
}

// Whatever is reserved and used, as long as nobody uses more than he reserved,
// any w minutes see at most w+1 times the limit.
func TestAllowanceEnvelope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.OneOf(rapid.Int64Range(1, 100), rapid.Int64Range(1, MaxTokens)).Draw(t, "limit")
		a := newAllowance(limit)
		type use struct{ at, tokens int64 }
		var open []int64
		var settled []use
		now := int64(start)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 2*minute)).Draw(t, "step")
			if len(open) > 0 && rapid.Bool().Draw(t, "settle") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				used := rapid.Int64Range(0, open[i]).Draw(t, "used")
				a.Settle(open[i], used, now)
				settled = append(settled, use{now, used})
				open = append(open[:i], open[i+1:]...)
			} else if n, v := a.Reserve(rapid.Int64Range(0, 2*limit).Draw(t, "tokens"), now); v.OK {
				open = append(open, n)
			} else if v.RetryAfter <= 0 {
				t.Fatalf("refused without a wait: %+v", v)
			}
			if got := int64(a.reserved.Load() & reservedMask); got != sumOf(open) || got > limit {
				t.Fatalf("reserved %d of %d, want %d", got, limit, sumOf(open))
			}
		}
		for i := range settled {
			sum := int64(0)
			for _, u := range settled[i:] {
				sum += u.tokens
				minutes := float64(u.at-settled[i].at) / float64(minute)
				if most := float64(limit) * (minutes + 1); float64(sum) > most*(1+1e-9)+1 {
					t.Fatalf("%d tokens in %.3f minutes, at most %.0f of %d a minute", sum, minutes, most, limit)
				}
			}
		}
	})
}

func sumOf(all []int64) (sum int64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

// A crowd at one instant never reserves more than the limit, and when all have
// settled nothing stays reserved.
func TestCrowdAtAnAllowance(t *testing.T) {
	const limit, each = 10_000, 7
	a := newAllowance(limit)
	var reserved, most atomic.Int64
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for range 2000 {
				n, v := a.Reserve(each, start)
				if !v.OK {
					continue
				}
				if now := reserved.Add(n); now > most.Load() {
					most.Store(now)
				}
				reserved.Add(-n)
				a.Settle(n, 1, start)
			}
		})
	}
	crowd.Wait()
	if most.Load() > limit {
		t.Errorf("reserved %d of %d", most.Load(), limit)
	}
	if left := a.reserved.Load() & reservedMask; left != 0 {
		t.Errorf("%d stay reserved", left)
	}
	// What was settled, a token for each that got in, is exactly what is gone.
	used := tokensOf(a.settled.Load()-start, limit)
	if _, v := a.Reserve(limit-used, start); !v.OK {
		t.Errorf("%d used, and the rest is refused: %+v", used, v)
	}
	if _, v := a.Reserve(1, start); v.OK {
		t.Error("one more than the limit is let in")
	}
}

func TestSeats(t *testing.T) {
	m := NewBuckets()
	s := m.Seats(1, 2)
	for i, want := range []bool{true, true, false} {
		if got := s.Take(); got != want {
			t.Errorf("seat %d of 2: taken is %t", i+1, got)
		}
	}
	s.Leave()
	if m.Seats(1, 1).Take() {
		t.Error("a second seat of one")
	}
	s.Leave()
	if !s.Take() || s.Taken() != 1 {
		t.Error("the only seat is refused")
	}
	var none *Seats
	none.Leave()
	if !none.Take() || none.Taken() != 0 {
		t.Error("nil refuses")
	}
}

// A crowd never sits on more seats than there are.
func TestCrowdOnSeats(t *testing.T) {
	s := NewBuckets().Seats(1, 3)
	var sitting atomic.Int64
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for range 5000 {
				if s.Take() {
					if n := sitting.Add(1); n > 3 {
						t.Errorf("%d sit", n)
					}
					sitting.Add(-1)
					s.Leave()
				}
			}
		})
	}
	crowd.Wait()
	if s.Taken() != 0 {
		t.Errorf("%d seats stay taken", s.Taken())
	}
}

func TestReserveAllocatesNothing(t *testing.T) {
	a := newAllowance(1 << 30)
	if n := testing.AllocsPerRun(100, func() {
		n, _ := a.Reserve(10, start)
		a.Settle(n, 5, start)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
