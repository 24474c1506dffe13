package upstream

import (
	"net"
	"sync/atomic"
)

// Attempt is one request to one provider and its answer.
//
// The zero value is ready. One goroutine at a time owns it and calls Send,
// Read and Close; only Cancel may be called from others, at any time. Close
// makes it ready for another Send, on any client.
//
// A Cancel is final: Send and Read fail from then on, whether it came during
// them, between two attempts, or before the first. So whoever learns that the
// client left calls Cancel and need not know where the owner is. Reset makes
// the attempt fit for another client's request; before it, whoever might still
// cancel for the last one must have been stopped.
type Attempt struct {
	// slot is the line that Cancel would have to end: nil while there is
	// none, gone after a Cancel. The owner takes its line out before it gives
	// it back to the pool, a canceller before it ends it; each by one compare
	// and swap, so that only one of them has it.
	slot   atomic.Pointer[line]
	reason atomic.Uint32

	client *Client // nil between Close and Send
	line   *line   // the owner's view of slot
	phase  Phase
	reused bool // the line has served before
	sent   bool // bytes of the request left
	came   bool // bytes of the answer came
	hurt   bool // the line is not fit for another request, whatever the answer says

	begunAt, firstEventBy, totalBy int64

	// buf holds the request's head while it is written and the answer's while
	// it comes; rest is what of the body came with it. It goes back to its
	// pool when rest has been read, so that an open stream holds none.
	buf  *buffer
	have int // bytes in buf
	rest []byte
	out  [8][]byte // the request as segments, while it is written

	header Header
	status int
	body   body
	zip    *gunzip // not nil: the answer is decompressed on the way
	err    error   // what Read failed with; it stays
}

// gone stands in slot after a Cancel.
var gone = new(line)

// Reset forgets a Cancel. The attempt must be closed.
func (a *Attempt) Reset() {
	if a.client != nil {
		panic("BUG: Reset of an attempt that is not closed")
	}
	a.slot.Store(nil)
	a.reason.Store(uint32(NotCancelled))
}

// Cancel ends the attempt wherever it is: dialing, in the TLS handshake,
// writing, waiting or reading. The provider sees a reset connection. It may be
// called by any goroutine and more than once; the first reason counts.
func (a *Attempt) Cancel(reason CancelReason) {
	a.reason.CompareAndSwap(uint32(NotCancelled), uint32(reason))
	for {
		l := a.slot.Load()
		if l == gone {
			return
		}
		if !a.slot.CompareAndSwap(l, gone) {
			continue
		}
		if l != nil {
			l.abort()
		}
		return
	}
}

// attach puts the line into the slot, unless the attempt was cancelled.
func (a *Attempt) attach(l *line) bool {
	if !a.slot.CompareAndSwap(nil, l) {
		return false
	}
	a.line = l
	return true
}

// detach takes the line back from everybody. It reports false if a Cancel was
// first: the line is being ended then.
func (a *Attempt) detach() (l *line, mine bool) {
	l, a.line = a.line, nil
	return l, a.slot.CompareAndSwap(l, nil)
}

// Await names what the next reads wait for, and so their limit: FirstEvent,
// Event, Body or End.
func (a *Attempt) Await(p Phase) { a.phase = p }

// Phase returns what the attempt waits for, or waited for when it failed.
func (a *Attempt) Phase() Phase { return a.phase }

// Status returns the answer's status; 0 while there is no answer.
func (a *Attempt) Status() int { return a.status }

// Header returns the answer's head, until Close. It describes what Read
// returns: when that is decoded, Content-Encoding is gone.
func (a *Attempt) Header() *Header { return &a.header }

// Decoded reports whether the provider compressed the answer although it was
// not asked to, and Read takes that off.
func (a *Attempt) Decoded() bool { return a.zip != nil }

// ContentLength returns how many bytes Read will give in all; -1 if unknown.
func (a *Attempt) ContentLength() int64 {
	switch {
	case a.zip != nil:
		return -1
	case a.body.framing == noBody:
		return 0
	case a.body.framing == sized:
		return a.header.length
	default:
		return -1
	}
}

// Close ends the attempt. The line goes back to the pool if the answer was
// read to its end, or if the end can be had within a moment; else it is closed,
// which tells the provider to stop.
func (a *Attempt) Close() {
	c := a.client
	if c == nil {
		return
	}
	if a.line != nil {
		a.part(c)
	}
	a.release()
	c.leave()
	a.client = nil
}

// part decides what becomes of the line.
func (a *Attempt) part(c *Client) {
	fit := a.err == nil && !a.hurt && !a.header.close
	if fit && !a.body.done {
		a.skim()
	}
	l, mine := a.detach()
	switch {
	case mine && fit && a.body.reusable():
		c.keep(l)
	case mine && fit && a.body.near():
		c.linger(l, a.body)
	case mine && a.body.done:
		l.close()
	default:
		l.drop()
	}
}

// release gives back what the attempt borrowed and forgets its answer.
func (a *Attempt) release() {
	a.releaseBuffer()
	if a.zip != nil {
		a.zip.release()
		a.zip = nil
	}
	a.header.Reset()
	a.status, a.body, a.err = 0, body{}, nil
	a.reused, a.sent, a.came, a.hurt = false, false, false, false
}

func (a *Attempt) releaseBuffer() {
	if a.buf != nil {
		a.buf.release()
		a.buf, a.rest, a.have = nil, nil, 0
	}
}

// fail makes the error of the phase the attempt is in.
func (a *Attempt) fail(err error) *Error {
	e := &Error{Phase: a.phase, Reused: a.reused, Sent: a.sent, Err: err}
	if a.cancelled() {
		e.Cancelled, e.Reason = true, CancelReason(a.reason.Load())
		return e
	}
	e.Timeout = isTimeout(err)
	return e
}

func (a *Attempt) cancelled() bool { return a.slot.Load() == gone }

// errCancelled is the cause of errors that a Cancel made without the network.
var errCancelled = net.ErrClosed
