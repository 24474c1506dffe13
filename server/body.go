package server

import (
	"io"

	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
	"llmproxy/openai"
)

// firstRead is how much room a body gets before its bytes arrive: a declared
// length is a claim, and memory follows the bytes. When they have filled it, the
// claim is believed for so many times as much at most.
const (
	firstRead = 128 << 10
	believed  = 16
)

// readBody reads the whole request body into x.body, limit bytes at most.
// What is too long is refused at once by its declared length, else as soon as
// the limit is passed; the connection is closed then, its rest unread.
func (x *exchange) readBody(limit int64) error {
	h := &x.ctx.Request.Header
	if e := h.ContentEncoding(); len(e) > 0 && string(e) != "identity" {
		x.leaveUnread()
		return openai.ErrMalformed(fasthttp.StatusUnsupportedMediaType, "a compressed request body is not supported: send it plain")
	}
	declared := int64(h.ContentLength())
	if declared > limit {
		x.s.limits.bodyBytes.Inc()
		x.leaveUnread()
		return openai.ErrTooLarge(limit)
	}
	r := x.ctx.RequestBodyStream()
	if r == nil {
		x.body = append(x.body[:0], x.ctx.Request.Body()...)
		return nil
	}
	var err error
	if x.body, err = readAll(r, x.body[:0], declared, limit); err == nil {
		return nil
	}
	x.leaveUnread()
	if err == errLimit {
		x.s.limits.bodyBytes.Inc()
		return openai.ErrTooLarge(limit)
	}
	e := openai.ErrMalformed(fasthttp.StatusBadRequest, "the request body could not be read to its end")
	e.Cause = err
	return e
}

// leaveUnread ends the connection after the answer, without reading the rest of
// the body; the client still gets the answer.
func (x *exchange) leaveUnread() {
	x.ctx.SetConnectionClose()
	downstream.LingerOnClose(x.ctx.Conn())
}

var errLimit = fasthttp.ErrBodyTooLarge

// readAll appends all of r to b, growing as bytes arrive. declared is the
// expected length, or negative.
func readAll(r io.Reader, b []byte, declared, limit int64) ([]byte, error) {
	if want := min(declared+1, firstRead); int64(cap(b)) < want {
		dropBuffer(b)
		b = newBuffer(int(want))
	}
	for {
		if len(b) == cap(b) {
			b = grow(b, declared)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return b, errLimit
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
