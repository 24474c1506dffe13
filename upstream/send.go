package upstream

import (
	"context"
	"time"
)

// earlyWait is how long an answer is looked for after the write broke: it is
// in the socket already, if there is one.
const earlyWait = 100 * time.Millisecond

// Send sends the request and returns when the answer's head is in hand.
//
// A pooled connection that the provider turns out to have closed while it was
// idle is replaced by a fresh one, once. Every other failure is the caller's to
// judge. The error is an *Error.
func (a *Attempt) Send(c *Client, q *Request) error {
	if a.client != nil {
		panic("BUG: Send on an attempt that is not closed")
	}
	a.phase = Connect
	if !q.clean() {
		return a.fail(ErrBadRequest)
	}
	if !c.enter() {
		return a.fail(ErrBusy)
	}
	a.begin(c, q)
	err := a.exchange(q, false)
	if a.stale(err) {
		c.counters.repeats.Add(1)
		a.drop()
		a.release()
		err = a.exchange(q, true)
	}
	if err != nil {
		a.err = err
		a.drop()
		return err
	}
	a.phase = Body
	if q.Stream {
		a.phase = FirstEvent
	}
	return nil
}

// begin starts the attempt's clocks.
func (a *Attempt) begin(c *Client, q *Request) {
	now, t := clock(), &c.settings.Timeouts
	a.client, a.begunAt = c, now
	a.totalBy = after(now, t.Total)
	if q.Stream {
		a.totalBy = after(now, t.StreamTotal)
	}
	a.firstEventBy = after(now, t.FirstEvent)
}

// exchange takes the request from nothing to the answer's head.
func (a *Attempt) exchange(q *Request, fresh bool) *Error {
	err := a.ask(q, fresh)
	for err == errSpent {
		l, mine := a.detach()
		if !mine {
			return a.fail(errCancelled)
		}
		l.close()
		a.client.counters.stale.Add(1)
		err = a.ask(q, fresh)
	}
	if err != nil {
		if a.phase == Write && a.answeredEarly(q) {
			return nil
		}
		return a.fail(err)
	}
	if err := a.readHead(q, a.client.settings.Timeouts.FirstByte); err != nil {
		return a.fail(err)
	}
	return nil
}

// stale reports whether the pooled line was at its end when the request was
// sent: it broke before any byte of an answer, or carried the farewell that
// some servers say to idle connections.
func (a *Attempt) stale(err *Error) bool {
	switch {
	case !a.reused:
		return false
	case err == nil:
		return a.status == 408 && a.header.close
	default:
		return !a.came && !err.Timeout && !err.Cancelled
	}
}

// drop ends the line and parts with it.
func (a *Attempt) drop() {
	if a.line != nil {
		l, _ := a.detach()
		l.drop()
	}
}

// connect gives the attempt a line: a pooled one, or a fresh one.
func (a *Attempt) connect(fresh bool) error {
	a.phase, a.sent, a.reused = Connect, false, false
	c, now := a.client, a.begunAt
	if !fresh {
		l, dead := c.pool.take(now)
		c.counters.stale.Add(int64(dead))
		if l != nil {
			return a.reuse(l, now)
		}
	}
	now = clock() // it may be the second line of this attempt
	by := earliest(after(now, c.settings.Timeouts.Connect), a.totalBy)
	ctx, hangup := until(by)
	defer hangup()
	l := &line{hangup: hangup, expires: now + lifetime()}
	if !a.attach(l) {
		return errCancelled
	}
	return a.dial(ctx, l, by)
}

func (a *Attempt) reuse(l *line, now int64) error {
	if !a.attach(l) {
		a.client.pool.put(l, now)
		return errCancelled
	}
	a.reused = true
	return nil
}

// until is a context that ends at an instant; 0 is never.
func until(by int64) (context.Context, context.CancelFunc) {
	if by == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), at(by))
}

// ask sends the request on a line. A body that fits beside the head goes with it,
// and the first bytes of the answer may have come when it returns. errSpent: the
// line was a pooled one that has ended meanwhile.
func (a *Attempt) ask(q *Request, fresh bool) error {
	if err := a.connect(fresh); err != nil {
		return err
	}
	if a.buf == nil {
		a.buf = acquireBuffer(0)
	}
	a.phase = Write
	now, t := a.begunAt, &a.client.settings.Timeouts
	if !a.reused {
		now = clock() // connecting took its time
	}
	s, out := a.line.sock.Load(), a.assemble(q)
	before := s.pushed
	n, written, err := a.line.ask(out, a.buf.b, a.reused, now,
		earliest(after(now, t.Write), a.totalBy), earliest(after(now, t.FirstByte), a.totalBy))
	clear(out)
	if a.reused && err != errSpent {
		a.client.counters.reuses.Add(1)
	}
	a.sent = s.pushed > before
	a.have, a.came = n, n > 0
	if written {
		a.phase = FirstByte
	}
	return err
}

// answeredEarly looks for the answer of a provider that did not want to read
// the whole request, such as 413 or 401, and closed. One that neither closes
// nor reads on is found out by the write limit. The line is spent anyway.
func (a *Attempt) answeredEarly(q *Request) bool {
	if a.cancelled() {
		return false
	}
	a.hurt = true
	early := a.readHead(q, earlyWait) == nil
	if !early {
		a.phase = Write
	}
	return early
}
