// Package overload decides whether one more request may come in.
//
// A gateway to language models holds thousands of requests that do nothing but
// wait for a provider. What breaks it is not their number but work that comes
// in faster than it can be done, or memory that runs out. So there are three
// guards, each for one of these:
//
//   - seats: a fixed number of requests at once, if the operator wants one;
//   - pace: requests per second, a limit that exists only while what arrives
//     waits too long until the gateway gets to it, and that is found by measuring;
//   - memory: nothing new while what is in use comes close to the limit.
//
// What does not fit at once waits a little, in order of arrival, then it is
// refused and told when to come back. Whoever is in is never touched.
// docs/adr/0007-overload.md says why a pace and not an adaptive number.
//
// The package knows no HTTP and no metrics. Two goroutines of its own measure.
package overload

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the limits. The zero value limits nothing.
type Options struct {
	MaxConcurrent int64         // requests at once; 0 is no limit
	MaxDelay      time.Duration // of what arrives, above which the pace is limited; 0 is never
	MinRate       int64         // requests per second that the pace always lets in; 0 means DefaultMinRate
	MaxQueued     int64         // requests that may wait; 0: none waits
	QueueTimeout  time.Duration // for this long at most
	MemoryLimit   int64         // bytes; above nine tenths nothing new comes in. 0 is no limit

	// Delay and Memory replace what is measured every Tick: how long what
	// arrived since the last call waited, and the bytes in use. nil: a probe's
	// time, and what the Go runtime says.
	Delay  func() time.Duration
	Memory func() int64
}

// DefaultMinRate is far below what one core can do, and enough that work which
// has nothing to do with requests cannot shut everybody out.
const DefaultMinRate = 64

// Tick is how often the gateway is measured.
const Tick = 100 * time.Millisecond

// Reason is what a verdict rests on.
type Reason uint8

// The reasons. All but Admitted are refusals.
const (
	Admitted Reason = iota
	Full            // all seats are taken, and the wait was in vain or the queue is full
	Busy            // more came than the limited pace lets in
	Memory          // memory runs out
	Gone            // the client left while it waited
	reasons
)

var reasonNames = [reasons]string{"admitted", "full", "busy", "memory", "gone"}

// String returns the reason as the metrics show it.
func (r Reason) String() string { return reasonNames[r] }

// Verdict is what became of one request.
type Verdict struct {
	Reason     Reason
	Waited     time.Duration // in the queue; 0 for most
	RetryAfter time.Duration // when to come back; 0 for who is in, or gone
}

// OK reports whether the request is in. Then, and only then, it must Leave.
func (v Verdict) OK() bool { return v.Reason == Admitted }

// Stats is the state of a Limiter, for metrics.
type Stats struct {
	InFlight int64
	Queued   int64
	Rate     int64         // requests per second that the pace lets in; 0 while it is not limited
	Delay    time.Duration // of what arrived in the last Tick; 0 if nothing did
	Memory   int64         // bytes in use; 0 without a limit
}

// Limiter is the gate. Its methods may be called by any goroutine; a nil
// *Limiter lets everybody in.
type Limiter struct {
	seats  seats
	pace   pace
	full   atomic.Bool // memory: nothing new comes in
	delay  atomic.Int64
	used   atomic.Int64
	stop   chan struct{}
	ended  chan struct{}
	closed sync.Once
}

// New returns a Limiter. Where something is to be measured, it starts the
// goroutines that do; Close ends them.
func New(o Options) *Limiter {
	l := &Limiter{stop: make(chan struct{}), ended: make(chan struct{})}
	l.seats.init(o.MaxConcurrent, o.MaxQueued, o.QueueTimeout)
	l.pace.init(o.MaxQueued, o.QueueTimeout)
	s := newSampler(l, o)
	if !s.needed() {
		close(l.ended)
		return l
	}
	go s.run()
	return l
}

// Enter asks to let a request in at now: nanoseconds of a clock that all
// callers share and that does not go back. It may wait for a place in the
// queue; a token from gone, or its closing, ends that. A nil gone never does.
//
// Without a wait it takes no lock and allocates nothing.
func (l *Limiter) Enter(now int64, gone <-chan struct{}) Verdict {
	if l == nil {
		return Verdict{}
	}
	if l.full.Load() {
		return refuse(Memory, 0)
	}
	if l.seats.crowded() {
		return refuse(Full, 0)
	}
	reason, waited := l.pace.take(now, gone)
	if reason != Admitted {
		return refuse(reason, waited)
	}
	reason, more := l.seats.take(gone)
	if waited += more; reason != Admitted {
		return refuse(reason, waited)
	}
	return Verdict{Waited: waited}
}

// Leave ends what an Enter began that let the request in.
func (l *Limiter) Leave() {
	if l != nil {
		l.seats.leave()
	}
}

// Stats returns the present state.
func (l *Limiter) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	return Stats{
		InFlight: l.seats.inFlight(), Queued: l.seats.queued() + l.pace.queued.Load(), Rate: l.pace.rate.Load(),
		Delay: time.Duration(l.delay.Load()), Memory: l.used.Load(),
	}
}

// Close ends the measuring; the limits stay as they are. It returns when the
// goroutine has ended, and may be called again.
func (l *Limiter) Close() {
	if l == nil {
		return
	}
	l.closed.Do(func() { close(l.stop) })
	<-l.ended
}

// refuse is the verdict of a refusal. Who is refused at the same moment must
// not come back at the same moment, so the hint is one to three seconds.
func refuse(r Reason, waited time.Duration) Verdict {
	v := Verdict{Reason: r, Waited: waited}
	if r != Gone {
		v.RetryAfter = time.Second + rand.N(2*time.Second)
	}
	return v
}
