package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
)

const (
	// idleTurn is how long an idle connection stays open in a drain: a client
	// that uses it in this time is told "connection: close" by the answer and
	// loses nothing, where closing at once would meet requests on their way.
	idleTurn = 500 * time.Millisecond
	// lastWords is how long clients have to be told that the grace is over.
	lastWords = 500 * time.Millisecond

	drainTick = 20 * time.Millisecond
)

// Leave turns readiness to 503 and has every answer from now on say
// "connection: close". Requests are served as before, until Shutdown.
func (s *Server) Leave() {
	s.leftAt.CompareAndSwap(0, now())
	s.draining.Store(true)
}

// Shutdown drains: nothing is accepted any more and new requests are refused,
// those in flight may finish until ctx ends. Then their providers are left,
// open streams end in an error event, and who waits for an answer gets 503.
// After a Leave there is another turn in which new requests are served: of
// connections that were accepted at the last moment, and could not know.
//
// It returns when every connection is closed or, with an error that counts
// the others, half a second after ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.draining.Load() {
		refuse := time.AfterFunc(idleTurn, func() { s.refusing.Store(true) })
		defer refuse.Stop()
	} else {
		s.refusing.Store(true)
		s.Leave()
	}
	s.clients.stopListening()
	s.operators.stopListening()
	stop := context.AfterFunc(ctx, func() { s.inflight.stop(drained) })
	defer stop()
	hard, cancel := afterEnd(ctx, lastWords)
	defer cancel()
	open := s.awaitClosed(ctx, hard)
	err := s.clients.shut(hard)
	if s.private != nil {
		err = errors.Join(err, s.operators.shut(hard))
	}
	if open > 0 { // hard has ended: that closed what is idle and did not wait
		return fmt.Errorf("%d client connections did not end", open)
	}
	return err
}

// awaitClosed ends connections when they have been idle for their turn, until
// none is open or hard ends. It returns how many are.
func (s *Server) awaitClosed(grace, hard context.Context) (open int) {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		turn := idleTurn
		if grace.Err() != nil {
			turn = drainTick
			s.inflight.stop(drained) // who was on the way to a provider at the first time
		}
		if open = s.closeIdle(turn); open == 0 {
			return 0
		}
		select {
		case <-tick.C:
		case <-hard.Done():
			return open
		}
	}
}

// closeIdle ends the connections that have been idle for a turn of the drain,
// and returns how many are open.
func (s *Server) closeIdle(turn time.Duration) (open int) {
	before := time.Now().Add(-turn)
	if time.Duration(now()-s.leftAt.Load()) < turn {
		before = time.Time{} // nobody has had a turn yet
	}
	return s.clients.closeIdle(before) + s.operators.closeIdle(before)
}

// afterEnd returns a context that ends some time after ctx has.
func afterEnd(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(d, cancel)
		context.AfterFunc(later, func() { t.Stop() })
	})
	return later, func() { stop(); cancel() }
}

// noteState tells a connection whether a request is on it.
func noteState(conn net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateActive:
		downstream.MarkBusy(conn)
	case fasthttp.StateIdle:
		downstream.MarkIdle(conn)
	}
}
