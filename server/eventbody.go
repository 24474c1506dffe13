package server

import (
	"bytes"
	"errors"
	"io"

	"llmproxy/openai"
	"llmproxy/upstream"
	"llmproxy/usage"
)

// eventBody writes an open stream of events to the client.
//
// It belongs to fasthttp from SetBodyStream to Close, which ends the exchange;
// a second Close does nothing, for the exchange may be another request's then.
type eventBody struct{ x *exchange }

// relayEvents sends the stream on: as a body stream, or whole to a client that
// cannot read chunks (HTTP/1.0), MaxAnswerBytes at most.
func (s *Server) relayEvents(x *exchange) {
	h := &x.ctx.Response.Header
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	body := &eventBody{x}
	if x.ctx.Request.Header.IsHTTP11() {
		x.streamed = true
		x.ctx.Response.SetBodyStream(body, -1)
		return
	}
	x.ctx.SetConnectionClose()
	whole := wholeEvents{x: x}
	_, err := body.WriteTo(&whole)
	if err == errTooMuch {
		writeError(x.ctx, openai.ErrUpstream(err))
	} else if err == nil {
		x.ctx.Response.SetBodyRaw(whole.Bytes())
	}
}

// wholeEvents collects a stream that is sent when it is whole.
type wholeEvents struct {
	bytes.Buffer
	x *exchange
}

var errTooMuch = errors.New("more than MAX_ANSWER_BYTES of no known length for a client that speaks HTTP/1.0")

// Write implements io.Writer.
func (w *wholeEvents) Write(p []byte) (int, error) {
	if w.Len()+len(p) > w.x.s.MaxAnswerBytes {
		w.x.s.limits.answerBytes.Inc()
		w.x.status = 502
		return 0, errTooMuch
	}
	return w.Buffer.Write(p)
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (b *eventBody) SupportsBodyWriteTo() bool { return true }

// Read implements io.Reader; fasthttp uses WriteTo instead.
func (b *eventBody) Read([]byte) (int, error) {
	return 0, errors.New("BUG: an event stream is written by WriteTo")
}

// WriteTo implements io.WriterTo: it relays the stream to its end. Every write
// to w is a chunk that is flushed. An error that it returns breaks the
// client's connection; a stream that the provider broke off ends in an error
// event instead, and the client's body properly.
func (b *eventBody) WriteTo(w io.Writer) (written int64, err error) {
	x, e := b.x, &b.x.events
	defer x.s.rescueBody(&b.x, &err)
	for {
		n, err := e.flush(w)
		written += int64(n)
		if err != nil {
			x.s.settle(x, ending{outcome: usage.Cancelled, phase: upstream.Event.String()})
			return written, err
		}
		if e.done || e.err != nil && (e.finished || !x.resume()) {
			break
		}
		if e.ready > 0 {
			continue // of the answer that was resumed
		}
		if err := x.readEvents(); err != nil {
			e.err = err
		}
	}
	n, err := b.writeEnd(w)
	return written + int64(n), err
}

// flush writes the checked events and moves what is left to the front.
func (e *events) flush(w io.Writer) (int, error) {
	if e.ready == 0 {
		return 0, nil
	}
	n, err := w.Write(e.buf[:e.ready])
	e.buf = append(e.buf[:0], e.buf[e.ready:]...)
	e.ready = 0
	return n, err
}

// writeEnd writes what is owed after the provider's last event, and settles.
func (b *eventBody) writeEnd(w io.Writer) (n int, err error) {
	x, e := b.x, &b.x.events
	end := x.endOfStream()
	if end.outcome == usage.Cancelled {
		x.s.settle(x, end)
		return 0, e.err
	}
	if owed := x.owedEvents(end); len(owed) > 0 {
		n, err = w.Write(owed)
	}
	x.s.settle(x, end)
	return n, err
}

var doneEvent = []byte("data: [DONE]\n\n")

// owedEvents returns what the client still has to hear: the [DONE] that the
// provider left out, or that the stream broke off.
func (x *exchange) owedEvents(end ending) []byte {
	e := &x.events
	switch {
	case end.outcome == usage.Complete && !e.done && x.endpoint.dialect == completions:
		return doneEvent
	case end.outcome == usage.Complete || e.failed:
		return nil
	case x.stopped() == drained:
		return openai.ErrOverloaded(0).AppendEvent(nil)
	default:
		return openai.ErrStreamCut(e.err).AppendEvent(nil)
	}
}

// endOfStream says how the stream ended. What a provider leaves out after the
// answer's end is no loss; before it, the answer is cut.
func (x *exchange) endOfStream() ending {
	e := &x.events
	switch {
	case e.done && !e.failed, e.finished, x.endpoint.dialect == opaque && e.err == io.EOF:
		return ending{outcome: usage.Complete}
	case x.stopped() == clientGone:
		return ending{outcome: usage.Cancelled, phase: upstream.Event.String()}
	default:
		return ending{outcome: usage.Truncated, err: e.err}
	}
}

// Close implements io.Closer. fasthttp calls it when the body is written, and
// when it could not be.
func (b *eventBody) Close() (err error) {
	x := b.x
	if x == nil {
		return nil
	}
	b.x = nil
	defer x.s.rescueBody(&x, &err)
	x.s.settle(x, ending{outcome: usage.Cancelled, phase: upstream.Event.String()})
	x.s.release(x)
	return nil
}
