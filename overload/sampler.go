package overload

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// sampler measures the gateway every Tick and sets the limits of its Limiter.
type sampler struct {
	l      *Limiter
	probe  *probe               // nil: the delay is given, or not measured
	delay  func() time.Duration // nil: the pace is never limited
	memory func() int64         // nil: memory is never looked at
	limit  int64                // of memory

	control control
	before  counts
	probed  int64     // requests that had come when the last byte was sent
	at      time.Time // of the last step
	gc      time.Time // the last collection that was asked for
}

// counts are requests since the start: let in, gone again, turned away by the
// pace. They are read one after the other, so they fit each other roughly.
type counts struct{ entered, left, turned int64 }

func newSampler(l *Limiter, o Options) *sampler {
	s := &sampler{l: l, limit: o.MemoryLimit, at: time.Now()}
	if o.MaxDelay > 0 {
		floor := o.MinRate
		if floor <= 0 {
			floor = DefaultMinRate
		}
		s.control = control{target: o.MaxDelay, floor: float64(floor)}
		if s.delay = o.Delay; s.delay == nil {
			s.measureDelay()
		}
	}
	if o.MemoryLimit > 0 {
		if s.memory = o.Memory; s.memory == nil {
			s.memory = newHeap().inUse
		}
	}
	return s
}

// measureDelay takes the delay from a probe. A process that has no descriptors
// left for it when it starts does without, and without a limit of the pace.
func (s *sampler) measureDelay() {
	p, err := newProbe()
	if err != nil {
		return
	}
	s.probe, s.delay = p, p.delay
}

func (s *sampler) needed() bool { return s.delay != nil || s.memory != nil }

func (s *sampler) run() {
	defer close(s.l.ended)
	defer s.close()
	t := time.NewTicker(Tick)
	defer t.Stop()
	for {
		select {
		case <-s.l.stop:
			return
		case <-t.C:
		}
		now := time.Now() // the ticker's is that of a moment when this goroutine had to wait
		if now.Sub(s.at) >= Tick {
			s.step(now)
		}
		t.Reset(s.ask())
	}
}

// probes are sent so many times in a Tick.
const probes = 5

// ask sends a probe if something has come since the last one, and says when to
// do so again: a gateway that has nothing to do is not woken for it.
func (s *sampler) ask() time.Duration {
	came := s.l.seats.entered.Load() + s.l.pace.turned.Load()
	if s.probe == nil || came == s.probed {
		return Tick
	}
	s.probed = came
	s.probe.send()
	return Tick / probes
}

func (s *sampler) close() {
	if s.probe != nil {
		s.probe.close()
	}
}

// step measures once, about every Tick.
func (s *sampler) step(now time.Time) {
	if s.delay != nil {
		s.stepPace(now)
	}
	if s.memory != nil {
		s.stepMemory(now)
	}
	s.at = now
}

func (s *sampler) stepPace(now time.Time) {
	p := &s.l.pace
	c := counts{entered: s.l.seats.entered.Load(), turned: p.turned.Load()}
	c.left = c.entered - s.l.seats.inFlight()
	past := max(now.Sub(s.at), Tick/2).Seconds()
	admitted := float64(c.entered-s.before.entered) / past
	saw := seen{
		delay: s.delay(), admitted: admitted,
		wanted:   admitted + float64(c.turned-s.before.turned)/past,
		finished: math.Max(0, float64(c.left-s.before.left)/past),
	}
	s.before = c

	s.control.step(saw)
	s.l.delay.Store(int64(saw.delay))
	p.rate.Store(int64(s.control.rate))
}

// Memory: nothing new comes in from shut on, until it is below open again.
const (
	shutPercent = 90
	openPercent = 85
)

func (s *sampler) stepMemory(now time.Time) {
	used := s.memory()
	s.l.used.Store(used)
	was := s.l.full.Load()
	percent := int64(shutPercent)
	if was {
		percent = openPercent
	}
	full := used > s.limit/100*percent
	setIfChanged(&s.l.full, full)
	if full && now.Sub(s.gc) >= time.Second {
		// What is in use is known from the last collection, and with nothing
		// coming in the next one might be minutes away.
		s.gc = now
		runtime.GC()
	}
}

// setIfChanged leaves alone the cache line that every request reads.
func setIfChanged(b *atomic.Bool, to bool) {
	if b.Load() != to {
		b.Store(to)
	}
}
