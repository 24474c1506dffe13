package overload

import (
	"runtime"
	"testing"
	"time"
)

func TestEnteringAllocatesNothing(t *testing.T) {
	f := func(what string, l *Limiter, want Reason) {
		t.Helper()
		now := int64(time.Hour)
		if n := testing.AllocsPerRun(1000, func() {
			now += int64(time.Millisecond)
			v := l.Enter(now, nil)
			if v.Reason != want {
				t.Fatalf("%s: %v, want %v", what, v.Reason, want)
			}
			if v.OK() {
				l.Leave()
			}
		}); n != 0 {
			t.Errorf("%s: %.1f allocations", what, n)
		}
	}
	paced, full, memory := New(Options{}), New(Options{MaxConcurrent: 1}), New(Options{})
	paced.pace.rate.Store(2000)
	full.Enter(0, nil)
	memory.full.Store(true)
	f("no limit", New(Options{}), Admitted)
	f("seats", New(Options{MaxConcurrent: 1}), Admitted)
	f("pace", paced, Admitted)
	f("full", full, Full)
	f("memory", memory, Memory)
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	h := newHeap()
	p, err := newProbe()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if n := testing.AllocsPerRun(100, func() {
		p.send()
		for p.delay() == 0 { // until the byte has arrived
			runtime.Gosched()
		}
		h.inUse()
	}); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func BenchmarkEnterLeave(b *testing.B) {
	f := func(name string, l *Limiter) {
		b.Run(name, func(b *testing.B) {
			before := l.seats.entered.Load()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if !l.Enter(int64(time.Hour), nil).OK() {
						b.Error("refused")
						return
					}
					l.Leave()
				}
			})
			if got := l.seats.entered.Load() - before; got != int64(b.N) || l.Stats().InFlight != 0 {
				b.Errorf("%d entered of %d, %d are still in", got, b.N, l.Stats().InFlight)
			}
		})
	}
	f("unlimited", New(Options{}))
	f("seats", New(Options{MaxConcurrent: 10_000}))
}

func BenchmarkRefuse(b *testing.B) {
	l := New(Options{MaxConcurrent: 1})
	l.Enter(0, nil)
	b.ReportAllocs()
	for b.Loop() {
		if v := l.Enter(0, nil); v.Reason != Full || v.RetryAfter < time.Second {
			b.Fatalf("%+v", v)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	l := New(Options{})
	s := newSampler(l, Options{MaxDelay: time.Hour, MemoryLimit: 1 << 50})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(Tick)
		s.step(now)
	}
	if used := l.Stats().Memory; used == 0 {
		b.Error("nothing was measured")
	}
}
