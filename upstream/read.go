package upstream

import (
	"io"
	"time"
)

// Read reads the answer's body, free of framing. It returns io.EOF only at the
// body's proper end; any other error is an *Error and final.
func (a *Attempt) Read(p []byte) (int, error) {
	if a.client == nil || a.line == nil && a.err == nil {
		panic("BUG: Read without an answer")
	}
	if a.zip != nil {
		return a.zip.read(a, p)
	}
	return a.readBody(p)
}

func (a *Attempt) readBody(p []byte) (int, error) {
	for {
		switch {
		case a.err != nil:
			return 0, a.err
		case a.cancelled():
			return 0, a.stop(errCancelled)
		case a.body.done:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		n, err := a.fill(p)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// fill makes one read and takes the framing off what came.
func (a *Attempt) fill(p []byte) (int, error) {
	n, err := a.readRaw(p)
	if n == 0 && err != nil {
		return 0, a.broken(err)
	}
	m, err := a.body.decode(p[:n])
	if err != nil {
		a.stop(err)
	}
	return m, nil
}

// readRaw reads bytes of the connection: those that came with the head first.
func (a *Attempt) readRaw(p []byte) (int, error) {
	if len(a.rest) > 0 {
		n := copy(p, a.rest)
		if a.rest = a.rest[n:]; len(a.rest) == 0 {
			a.releaseBuffer()
		}
		return n, nil
	}
	now := clock()
	return a.line.read(a.body.room(p), now, a.readBy(now))
}

// broken is what a failed read means for the body.
func (a *Attempt) broken(err error) error {
	switch {
	case err == io.EOF && a.body.close():
		return io.EOF
	case err == io.EOF || err == io.ErrUnexpectedEOF: // the latter is TLS's, of half a record
		return a.stop(ErrShortBody)
	default:
		return a.stop(err)
	}
}

// stop makes the error that Read returns from now on.
func (a *Attempt) stop(err error) error {
	a.err = a.fail(err)
	return a.err
}

// endGrace is how long a provider may take from an answer's end to the stream's.
const endGrace = 2 * time.Second

// readBy is the deadline of a read that begins now.
func (a *Attempt) readBy(now int64) int64 {
	t := &a.client.settings.Timeouts
	switch a.phase {
	case FirstEvent:
		by := after(now, silence(t))
		return earliest(earliest(by, a.firstEventBy), a.totalBy)
	case End:
		return earliest(after(now, endGrace), a.totalBy)
	default:
		return earliest(after(now, t.Idle), a.totalBy)
	}
}

// silence is how long one read may wait for a stream's first event. Models
// think before it, and the idle limit is not meant for that: silence is borne
// for as long as in front of the head. Where that has no limit nor has this.
func silence(t *Timeouts) time.Duration {
	if t.FirstByte <= 0 {
		return 0
	}
	return max(t.FirstByte, t.Idle)
}
