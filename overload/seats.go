package overload

import (
	"math"
	"sync/atomic"
	"time"
)

// seats let a fixed number of requests in at once. Who finds none waits in
// order of arrival: the wait is short beside what a call takes, so nothing is
// won by serving the newest first, and nobody is passed over.
//
// taken counts those who are in and those who wait. It is above most exactly
// while somebody waits, and then all seats are taken. Who leaves while it is
// above most hands the seat on: a token into free, which one of the waiters
// takes. So a seat is never both free and waited for, without a lock.
type seats struct {
	taken   atomic.Int64
	entered atomic.Int64 // ever; in the cache line that a request has to write anyway
	_       [48]byte     // keeps what is only read out of that line

	most    int64
	room    int64 // most, and those who may wait
	timeout time.Duration
	free    chan struct{} // has place for a token for each who may wait: handing on never blocks
}

func (s *seats) init(most, queue int64, timeout time.Duration) {
	if timeout <= 0 {
		queue = 0
	}
	s.most, s.room, s.timeout = most, most+queue, timeout
	if most <= 0 {
		s.most, s.room = math.MaxInt64, math.MaxInt64
	}
	s.free = make(chan struct{}, queue)
}

// crowded reports whether there is neither a seat nor a place to wait.
func (s *seats) crowded() bool { return s.taken.Load() >= s.room }

// take takes a seat, or waits for one.
func (s *seats) take(gone <-chan struct{}) (Reason, time.Duration) {
	for {
		n := s.taken.Load()
		if n >= s.room {
			return Full, 0
		}
		if !s.taken.CompareAndSwap(n, n+1) {
			continue
		}
		if n < s.most {
			s.entered.Add(1)
			return Admitted, 0
		}
		reason, waited := s.wait(gone)
		if reason == Admitted {
			s.entered.Add(1)
		}
		return reason, waited
	}
}

// wait waits for the seat of somebody who leaves.
func (s *seats) wait(gone <-chan struct{}) (Reason, time.Duration) {
	began := time.Now()
	timer := time.NewTimer(s.timeout)
	defer timer.Stop()
	reason := Admitted
	select {
	case <-s.free:
		return Admitted, time.Since(began)
	case <-timer.C:
		reason = Full
	case <-gone:
		reason = Gone
	}
	if s.giveUp() {
		return reason, time.Since(began)
	}
	// A seat was handed on at this moment: there is a token for everybody who
	// still waits, or will be at once.
	<-s.free
	if reason == Gone {
		s.leave()
		return Gone, time.Since(began)
	}
	return Admitted, time.Since(began)
}

// giveUp stops waiting. It reports false if a seat has been handed on already
// to everybody who waits.
func (s *seats) giveUp() bool {
	for {
		n := s.taken.Load()
		if n <= s.most {
			return false
		}
		if s.taken.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// leave gives a seat back, or hands it on.
func (s *seats) leave() {
	switch n := s.taken.Add(-1); {
	case n < 0:
		panic("BUG: more left than came in")
	case n >= s.most:
		s.free <- struct{}{}
	}
}

func (s *seats) inFlight() int64 { return min(s.taken.Load(), s.most) }
func (s *seats) queued() int64   { return max(s.taken.Load()-s.most, 0) }
