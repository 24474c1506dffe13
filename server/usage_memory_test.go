package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// asked is a source that counts, and answers as it is told.
type asked struct {
	times, atOnce, most atomic.Int64
	answer              func(ctx context.Context) error
}

func (a *asked) OfKey(ctx context.Context, id int64, _ time.Time) (KeyUsage, error) {
	a.times.Add(1)
	if n := a.atOnce.Add(1); n > a.most.Load() {
		a.most.Store(n)
	}
	defer a.atOnce.Add(-1)
	err := a.answer(ctx)
	return KeyUsage{Month: Used{Figures: Figures{Requests: id}}}, err
}

// The source is asked once in usageAge about a key, and a failure is no reason
// to ask more often.
func TestUsageIsRemembered(t *testing.T) {
	away := errors.New("away")
	for _, err := range []error{nil, away} {
		source := &asked{answer: func(context.Context) error { return err }}
		var m usageMemory
		m.init(source)
		f := func(now time.Duration, times int64) {
			t.Helper()
			used, asOf, got := m.of(7, int64(now))
			if source.times.Load() != times || !errors.Is(got, err) || used.Month.Requests != 7 {
				t.Errorf("at %v: asked %d times, want %d; %+v, %v", now, source.times.Load(), times, used, got)
			}
			if age := now - time.Duration(asOf.UnixNano()); age < 0 || age >= usageAge {
				t.Errorf("at %v the figures are %v old", now, age)
			}
		}
		f(1, 1)
		f(2, 1)
		f(usageAge, 1)
		f(usageAge+1, 2)
		f(usageAge+2, 2)
	}
}

// However many ask, a key is asked about once, few keys at a time, and nobody
// waits for longer than usageTimeout.
func TestUsageIsAskedForOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &asked{answer: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		var m usageMemory
		m.init(source)
		var all sync.WaitGroup
		began := time.Now()
		for i := range 200 {
			all.Go(func() {
				if _, _, err := m.of(int64(i%20), began.UnixNano()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a source that does not answer: %v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != usageTimeout {
			t.Errorf("they waited for %v, want %v", took, usageTimeout)
		}
		if source.most.Load() != usageAsked || source.times.Load() > 20 {
			t.Errorf("asked %d times, %d at once", source.times.Load(), source.most.Load())
		}
	})
}

// What is remembered is bounded, whoever asks, and each is told of its own key.
func TestUsageMemoryIsBounded(t *testing.T) {
	source := &asked{answer: func(context.Context) error { return nil }}
	var m usageMemory
	m.init(source)
	for i := range int64(3 * usageKeys) {
		used, _, _ := m.of(i, i*int64(usageAge)/usageKeys)
		if used.Month.Requests != i {
			t.Fatalf("%d is told of %d", i, used.Month.Requests)
		}
		if len(m.keys) > usageKeys {
			t.Fatalf("%d keys are remembered", len(m.keys))
		}
	}
}

// A source that panics fails those who wait, and holds no seat after that.
func TestUsageOutlivesAPanic(t *testing.T) {
	source := &asked{answer: func(context.Context) error { panic("a fault of the source") }}
	var m usageMemory
	m.init(source)
	for i := range int64(2 * usageAsked) {
		func() {
			defer func() { _ = recover() }()
			_, _, _ = m.of(i, 1)
		}()
		if _, _, err := m.of(i, 1); !errors.Is(err, errPanic) {
			t.Errorf("who comes later is told %v", err)
		}
	}
	source.answer = func(context.Context) error { return nil }
	if _, _, err := m.of(99, 1); err != nil {
		t.Error(err)
	}
}
