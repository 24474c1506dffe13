package overload

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// While the delay is high the pace falls, never below the least; when it is
// over everybody comes in again.
func TestPaceFollowsTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delay atomic.Int64
		l := New(Options{
			MaxDelay: target, MinRate: 100, MaxQueued: 10, QueueTimeout: 200 * time.Millisecond,
			Delay: func() time.Duration { return time.Duration(delay.Load()) },
		})
		defer l.Close()
		// offer sends 1000 requests in a second and counts those that come in.
		offer := func() (in int) {
			for range 1000 {
				time.Sleep(time.Millisecond)
				if l.Enter(time.Now().UnixNano(), closed).OK() {
					l.Leave()
					in++
				}
			}
			return in
		}
		f := func(d time.Duration, least, most int) {
			t.Helper()
			delay.Store(int64(d))
			if in := offer(); in < least || in > most {
				t.Errorf("delay %v: %d of 1000 came in, want %d to %d (%+v)", d, in, least, most, l.Stats())
			}
		}
		f(0, 1000, 1000)
		f(target, 1000, 1000)
		f(2*target, 500, 950)
		f(2*target, 250, 400)
		f(time.Minute, 240, 320) // three tenths of what was finished at best
		f(time.Minute, 230, 310)
		f(0, 300, 1000)
		f(0, 900, 1000)
		f(0, 1000, 1000)
		if r := l.Stats().Rate; r != 0 {
			t.Errorf("three seconds after the delay the rate is %d", r)
		}
	})
}

// closed is a client that has left: it waits for nothing.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Int64
		l := New(Options{MemoryLimit: 1000, Memory: used.Load})
		defer l.Close()
		f := func(bytes int64, want Reason) {
			t.Helper()
			used.Store(bytes)
			time.Sleep(Tick + time.Millisecond)
			synctest.Wait()
			v := l.Enter(time.Now().UnixNano(), nil)
			if v.Reason != want || l.Stats().Memory != bytes {
				t.Errorf("%d of 1000 in use: %+v, %+v, want %v", bytes, v, l.Stats(), want)
			}
			if v.OK() {
				l.Leave()
			} else if v.RetryAfter < time.Second {
				t.Errorf("come back in %v", v.RetryAfter)
			}
		}
		f(500, Admitted)
		f(900, Admitted)
		f(901, Memory)
		f(2000, Memory)
		f(851, Memory)
		f(850, Admitted)
		f(900, Admitted)
	})
}

func TestWhatTheRuntimeTells(t *testing.T) {
	if got := newHeap().inUse(); got < 100<<10 || got > 4<<30 {
		t.Errorf("%d bytes in use", got)
	}
}

// Many at once: never more in than seats, and all seats are free in the end.
func TestHammer(t *testing.T) {
	const seats = 8
	l := New(Options{MaxConcurrent: seats, MaxQueued: 16, QueueTimeout: 2 * time.Millisecond, MaxDelay: time.Hour, MemoryLimit: 1 << 50})
	defer l.Close()
	var in, admitted atomic.Int64
	var seen [reasons]atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for n := range 2000 {
				if n%100 == 0 {
					l.pace.rate.Store(random.Int64N(3) * 500_000)
				}
				gone := make(chan struct{}, 1)
				if random.IntN(4) == 0 {
					gone <- struct{}{}
				}
				v := l.Enter(time.Now().UnixNano(), gone)
				seen[v.Reason].Add(1)
				if !v.OK() {
					continue
				}
				if now := in.Add(1); now > seats {
					t.Errorf("%d are in", now)
				}
				admitted.Add(1)
				for range random.IntN(3) {
					runtime.Gosched()
				}
				in.Add(-1)
				l.Leave()
			}
		})
	}
	all.Wait()
	if n := l.seats.taken.Load(); n != 0 || len(l.seats.free) != 0 || l.pace.queued.Load() != 0 {
		t.Errorf("in the end %d seats are taken, %d tokens and %d sleepers are left", n, len(l.seats.free), l.pace.queued.Load())
	}
	if got := l.seats.entered.Load(); got != admitted.Load() || got == 0 {
		t.Errorf("%d entered, %d were admitted", got, admitted.Load())
	}
	for r := range seen {
		t.Logf("%v: %d", Reason(r), seen[r].Load())
	}
}
