package ratelimit

import "sync/atomic"

// Seats are how many requests of a client key may be under way at once. A nil
// *Seats has room for everybody.
type Seats struct {
	limit atomic.Int64 // 0 refuses everything
	taken atomic.Int64
}

// Take asks for a seat. Who gets one must Leave it.
func (s *Seats) Take() bool {
	if s == nil {
		return true
	}
	for {
		n := s.taken.Load()
		if n >= s.limit.Load() {
			return false
		}
		if s.taken.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Leave gives a seat back.
func (s *Seats) Leave() {
	if s != nil {
		s.taken.Add(-1)
	}
}

// Taken is how many requests are under way.
func (s *Seats) Taken() int64 {
	if s == nil {
		return 0
	}
	return s.taken.Load()
}
