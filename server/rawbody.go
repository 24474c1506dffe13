package server

import (
	"bytes"
	"io"

	"llmproxy/openai"
	"llmproxy/upstream"
	"llmproxy/usage"
)

// rawBody relays an answer that is too long to be kept, and is no event
// stream: what was read of it first, then the rest as it comes. A cut breaks
// the client's connection too, so that it can't be taken for the end.
//
// It belongs to fasthttp from SetBodyStream to Close, which ends the exchange.
type rawBody struct {
	x    *exchange
	sent int
	rest int    // bytes that followed what was read first
	tail []byte // the answer's last bytes: usage stands there
	err  error
}

// relayRest sends a long answer on as it comes. One whose length the provider did
// not tell needs chunks: a client that cannot read them (HTTP/1.0) gets an error.
func (s *Server) relayRest(x *exchange) {
	length := x.attempt.ContentLength()
	if length < 0 && !x.ctx.Request.Header.IsHTTP11() {
		x.status = fail(x.ctx, openai.ErrUpstream(errTooMuch))
		x.ctx.SetConnectionClose()
		s.settle(x, ending{outcome: usage.Cancelled, phase: upstream.Body.String()})
		return
	}
	x.streamed = true
	x.ctx.Response.SetBodyStream(&rawBody{x: x}, int(length))
}

// tailBytes is enough for the usage object at the end of an embeddings answer.
const tailBytes = 1 << 10

// Read implements io.Reader.
func (r *rawBody) Read(p []byte) (n int, err error) {
	x := r.x
	defer x.s.rescueBody(&r.x, &err)
	if r.sent < len(x.answer) {
		n = copy(p, x.answer[r.sent:])
		r.sent += n
		if r.sent == len(x.answer) {
			r.remember(x.answer)
		}
		return n, nil
	}
	n, err = x.attempt.Read(p)
	r.rest += n
	r.remember(p[:n])
	r.err = err
	return n, err
}

func (r *rawBody) remember(p []byte) {
	r.tail = append(r.tail, p...)
	if over := len(r.tail) - tailBytes; over > 0 {
		r.tail = append(r.tail[:0], r.tail[over:]...)
	}
}

// takeUsage looks for the usage where providers put it: at the answer's end, or
// before what makes it long.
func (r *rawBody) takeUsage(x *exchange) {
	x.usageEnd = true
	if x.usage, x.hasUsage = usageAtEnd(r.tail); !x.hasUsage {
		x.usage, x.hasUsage = openai.ParseUsage(x.answer)
	}
}

// takeText takes the text of what was kept of the answer for counting, and the
// rest to have as much in it. Where no text is found it is one long string.
func (r *rawBody) takeText(x *exchange) {
	if x.endpoint.dialect == opaque {
		return
	}
	x.text = openai.AppendAnswerText(x.text[:0], x.answer)
	if x.moreText = r.rest + len(x.answer); len(x.text) > 0 {
		x.moreText = int(int64(r.rest) * int64(len(x.text)) / int64(len(x.answer)))
	}
}

// usageAtEnd reads the usage from the end of an answer, if it is the last
// member of the answer's object, where providers put it.
func usageAtEnd(tail []byte) (openai.Usage, bool) {
	at := bytes.LastIndex(tail, []byte(`"usage"`))
	if at < 0 {
		return openai.Usage{}, false
	}
	return openai.ParseUsage(append([]byte{'{'}, tail[at:]...))
}

// Close implements io.Closer: it settles the exchange and gives it back.
func (r *rawBody) Close() (err error) {
	x := r.x
	if x == nil {
		return nil
	}
	r.x = nil
	s := x.s
	defer s.rescueBody(&x, &err)
	r.takeText(x)
	switch {
	case r.err == io.EOF:
		r.takeUsage(x)
		s.settle(x, ending{outcome: usage.Complete})
	case r.err == nil || x.stopped() == clientGone:
		s.settle(x, ending{outcome: usage.Cancelled, phase: upstream.Body.String()})
	default:
		s.settle(x, ending{outcome: usage.Truncated, err: r.err})
	}
	s.release(x)
	return nil
}
