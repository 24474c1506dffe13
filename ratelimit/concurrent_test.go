package ratelimit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A crowd at the same bucket gets what one would get, to the request: each of
// them takes from a clock that all advance together.
func TestCrowd(t *testing.T) {
	f := func(limit int64, seconds int64) {
		t.Helper()
		b := newBucket(limit)
		step := second / (limit * 10)
		var clock, admitted atomic.Int64
		var crowd sync.WaitGroup
		for range 8 {
			crowd.Go(func() {
				for {
					at := clock.Add(step)
					if at >= seconds*second {
						return
					}
					if b.Take(start + at).OK {
						admitted.Add(1)
					}
				}
			})
		}
		crowd.Wait()
		if got, want := admitted.Load(), limit*seconds; got > want+limit || got < want-seconds {
			t.Errorf("%d per second: %d admitted in %d s", limit, got, seconds)
		}
	}
	f(1, 20)
	f(100, 20)
	f(1000, 5)
}

// At one instant a crowd gets exactly one burst.
func TestCrowdAtOneInstant(t *testing.T) {
	const limit = 1000
	b := newBucket(limit)
	var admitted atomic.Int64
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for range limit {
				if b.Take(start).OK {
					admitted.Add(1)
				}
			}
		})
	}
	crowd.Wait()
	if got := admitted.Load(); got != limit {
		t.Errorf("admitted %d, want %d", got, limit)
	}
}

// Rates change and keys go while requests are taken.
func TestReloadsWhileTaking(t *testing.T) {
	m := NewBuckets()
	began := time.Now()
	var crowd sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		crowd.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if v := m.Get(1, 50).Take(int64(time.Since(began))); v.Remaining < 0 || v.Limit != 50 {
						t.Errorf("%+v", v)
					}
				}
			}
		})
	}
	for i := range int64(2000) {
		m.Get(1, i%200).Take(int64(time.Since(began)))
		m.Keep(func(int64) bool { return i%7 > 0 })
	}
	close(stop)
	crowd.Wait()
}
