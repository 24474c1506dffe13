package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
	"llmproxy/openai"
	"llmproxy/usage"
)

// newRouter returns a router that answers unknown paths and wrong methods in
// OpenAI's shape, and redirects nobody: a redirect would be made from the
// client's Host header.
func newRouter() *router.Router {
	r := router.New()
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleOPTIONS = false
	r.NotFound = func(ctx *fasthttp.RequestCtx) {
		fail(ctx, openai.ErrNotFound(string(ctx.Method()), string(ctx.URI().PathOriginal())))
	}
	r.MethodNotAllowed = func(ctx *fasthttp.RequestCtx) {
		fail(ctx, openai.ErrMethod(string(ctx.Method()), string(ctx.URI().PathOriginal())))
	}
	return r
}

// poolLimit is the largest request or answer buffer that fasthttp keeps for
// the next request of a connection.
const poolLimit = 256 << 10

// newHTTP returns the HTTP server. There is no write timeout, because it would
// be one for a whole stream: the connection's own rule cuts clients that do
// not read (package downstream).
func (s *Server) newHTTP(handler fasthttp.RequestHandler) *fasthttp.Server {
	fasthttp.SetBodySizePoolLimit(poolLimit, poolLimit)
	return &fasthttp.Server{
		Handler:                      s.guard(handler),
		ErrorHandler:                 s.badRequest,
		ReadBufferSize:               s.MaxHeaderBytes,
		WriteBufferSize:              4 << 10,
		ReadTimeout:                  s.ReadTimeout,
		IdleTimeout:                  s.IdleTimeout,
		StreamRequestBody:            true, // keys are checked before bodies are read
		DisablePreParseMultipartForm: true, // it would spool uploads before that
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		LazyRequestTime:              true,    // the gateway has clocks of its own
		Concurrency:                  1 << 20, // the Limiter is the limit
		Logger:                       quiet{s.journal.log},
		ConnState:                    noteState,
	}
}

// guard ends a panic at the request that caused it, and names every answer
// that was not named by who made it.
func (s *Server) guard(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer func() {
			if r := recover(); r != nil {
				s.panicked(r)
				fail(ctx, openai.ErrInternal(nil))
			}
			if len(ctx.Response.Header.PeekBytes(headerRequestID)) == 0 {
				nameAnswer(ctx)
			}
			if s.draining.Load() {
				ctx.SetConnectionClose() // the next request goes elsewhere
			}
		}()
		if err := s.unfit(&ctx.Request.Header); err != nil {
			ctx.SetConnectionClose()
			fail(ctx, err)
			return
		}
		h(ctx)
	}
}

// unfit refuses what fasthttp's parser lets pass and nobody should rely on:
// versions of HTTP that are not spoken here, and headers of very many lines.
func (s *Server) unfit(h *fasthttp.RequestHeader) error {
	switch {
	case !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0":
		return openai.ErrMalformed(fasthttp.StatusHTTPVersionNotSupported, "only HTTP/1.1 and HTTP/1.0 are spoken here")
	case bytes.Count(h.RawHeaders(), lineEnd) > s.MaxHeaderLines:
		s.limits.headerLines.Inc()
		return openai.ErrMalformed(fasthttp.StatusRequestHeaderFieldsTooLarge, "the request's header has too many lines")
	}
	return nil
}

var lineEnd = []byte{'\n'}

// rescue ends a panic on a request's journey: the request is settled, the
// client gets a typed error, the process lives.
func (s *Server) rescue(x *exchange) {
	r := recover()
	if r == nil {
		return
	}
	s.panicked(r)
	x.status = fail(x.ctx, openai.ErrInternal(nil))
	x.ctx.SetConnectionClose()
	s.settle(x, ending{outcome: usage.Failed, err: errPanic})
	// x is not given back: what broke may have left it in any state.
}

// rescueBody is rescue for a body stream, which fasthttp runs after the
// handler: too late for a typed error, so err breaks the client's connection.
// The stream loses its exchange, which is not given back.
func (s *Server) rescueBody(at **exchange, err *error) {
	r := recover()
	if r == nil {
		return // *at may be another request's by now
	}
	x := *at
	if !x.streamed {
		panic(r) // within the handler: rescue is there
	}
	*at, *err = nil, errPanic
	s.panicked(r)
	s.settle(x, ending{outcome: usage.Failed, err: errPanic})
}

var errPanic = errors.New("panic")

// panicked counts a panic and says where it was. A panic's value may quote the
// request, so only its type and the stack are logged.
func (s *Server) panicked(r any) {
	s.metrics.Panics.Inc()
	s.journal.log.Error("panic", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
}

// badRequest answers what is no HTTP request.
func (s *Server) badRequest(ctx *fasthttp.RequestCtx, err error) {
	if downstream.Silent(ctx.Conn()) {
		ctx.Conn().Close() // an answer to nothing would be taken for the answer to what is asked next
		return
	}
	ctx.SetConnectionClose()
	nameAnswer(ctx)
	var small *fasthttp.ErrSmallBuffer
	if errors.As(err, &small) {
		s.limits.headerBytes.Inc()
		fail(ctx, openai.ErrMalformed(fasthttp.StatusRequestHeaderFieldsTooLarge, "the request's header is too large"))
		return
	}
	fail(ctx, openai.ErrMalformed(fasthttp.StatusBadRequest, "the request is not well-formed HTTP"))
}

// quiet passes fasthttp's own messages on at debug level: they tell of clients
// that hung up or spoke nonsense, which is not the operator's trouble.
type quiet struct{ log *slog.Logger }

// Printf implements fasthttp.Logger. The arguments stay out of the log: among
// them are errors that quote what the client sent, its key too.
func (q quiet) Printf(format string, _ ...any) {
	q.log.Debug("http", "message", format)
}
