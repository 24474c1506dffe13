package overload

import (
	"sync/atomic"
	"time"
)

// pace lets requests in one after the other, at a rate that may change or not
// exist. It is the virtual scheduling algorithm of ITU-T I.371 (GCRA) with a
// wait: each request books the next free moment on a time line, and sleeps
// until then. So everybody knows on arrival how long the wait will be, and who
// would wait too long is refused at once instead of after it. Those who wait
// are in no list: the queue is the part of the line that is ahead of now.
//
// Who leaves while it waits gives its time back at the end of the line: those
// who wait do not move up, and the next to come waits for less.
type pace struct {
	rate   atomic.Int64 // per second; 0 lets everybody in
	next   atomic.Int64 // the first moment that is not booked, in the callers' nanoseconds
	turned atomic.Int64 // away for it, ever
	queued atomic.Int64 // sleep now

	most    int64 // of them
	timeout time.Duration
}

// slack is the part of a second's worth that may come at once without a wait:
// requests come in bunches, because goroutines run in bunches.
const slack = int64(10 * time.Millisecond)

func (p *pace) init(most int64, timeout time.Duration) { p.most, p.timeout = most, timeout }

// take books a moment and waits for it.
func (p *pace) take(now int64, gone <-chan struct{}) (Reason, time.Duration) {
	rate := p.rate.Load()
	if rate == 0 {
		return Admitted, 0
	}
	step := int64(time.Second) / rate
	wait, ok := p.book(now, step)
	if !ok {
		p.turned.Add(1)
		return Busy, 0
	}
	if wait == 0 {
		return Admitted, 0
	}
	reason, waited := p.sleep(wait, gone)
	if reason != Admitted {
		p.next.Add(-step)
	}
	return reason, waited
}

// book takes the next moment of the line, unless it is too far ahead: by time,
// or by the number of those who wait for an earlier one.
func (p *pace) book(now, step int64) (wait time.Duration, ok bool) {
	longest := min(int64(p.timeout), p.most*step)
	for {
		next := p.next.Load()
		at := max(next, now-slack)
		if at-now > longest {
			return 0, false
		}
		if p.next.CompareAndSwap(next, at+step) {
			return time.Duration(max(at-now, 0)), true
		}
	}
}

func (p *pace) sleep(d time.Duration, gone <-chan struct{}) (Reason, time.Duration) {
	p.queued.Add(1)
	defer p.queued.Add(-1)
	began := time.Now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return Admitted, d
	case <-gone:
		return Gone, time.Since(began)
	}
}
