package demo

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

// errShutdown breaks a stream off, so that its reader does not take it for whole.
var errShutdown = errors.New("the demo provider is shutting down")

// stream answers with events, paced by Options.Gap.
func (s *Server) stream(ctx *fasthttp.RequestCtx, events [][]byte) {
	ctx.SetContentType("text/event-stream; charset=utf-8")
	ctx.Response.Header.Set("Cache-Control", "no-cache")
	if s.opts.Gap <= 0 {
		events = [][]byte{bytes.Join(events, nil)}
	}
	ctx.Response.SetBodyStream(&stream{events: events, gap: s.opts.Gap, pause: s.pause}, -1)
}

// stream writes its events to the client. It is used once, by the connection's
// goroutine, after the handler has returned.
type stream struct {
	events [][]byte
	gap    time.Duration
	pause  func(time.Duration) bool
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo: every Write of WriteTo
// is one chunk on the wire, at once.
func (st *stream) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo.
func (st *stream) WriteTo(w io.Writer) (written int64, err error) {
	for i, event := range st.events {
		if i > 0 && !st.pause(st.gap) {
			return written, errShutdown
		}
		n, err := w.Write(event)
		written += int64(n)
		if err != nil {
			return written, err // the client has left
		}
	}
	return written, nil
}

// Read implements io.Reader, which fasthttp demands and does not call.
func (st *stream) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// event is one event of a stream, with a name if it has one.
func event(name string, data []byte) []byte {
	b := make([]byte, 0, len(name)+len(data)+16)
	if name != "" {
		b = append(append(append(b, "event: "...), name...), '\n')
	}
	b = append(append(b, "data: "...), data...)
	return append(b, '\n', '\n')
}
