package server

import (
	"math/rand/v2"
	"time"

	"llmproxy/route"
)

// awaitRoom waits a little for t, the target that was drawn, because it has as
// many requests as it takes and so have all others that are fit. Then a target
// is drawn again, for another may have become free too. Who has waited in
// vain, or finds too many who wait already, tries as it is and is told that
// there is no room. The error says that the request was ended from outside.
func (s *Server) awaitRoom(x *exchange, t *route.Target) (*route.Target, error) {
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > s.MaxWaiting || s.WaitTimeout <= 0 {
		return t, nil
	}
	x.abandoned() // nobody is to wait for a report meanwhile
	began := now()
	t.Provider.Client.AwaitRoom(x.wake, s.WaitTimeout)
	waited := time.Duration(now() - began)
	x.queued += waited
	s.queued.Observe(waited)
	if r := x.stopped(); r != running {
		return nil, r.err("queue")
	}
	t, pass := x.route.Pick(rand.Uint64(), &x.tried, now())
	x.owe(t, pass)
	return t, nil
}

// Waiting is how many requests wait for a provider to have room.
func (s *Server) Waiting() int64 { return min(s.waiting.Load(), s.MaxWaiting) }
