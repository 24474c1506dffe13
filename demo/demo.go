// Package demo is a small provider that speaks OpenAI's API, built into the
// binary: the gateway's first answer needs no account and no network, and
// load tests have something to run against.
//
//	s := demo.New(demo.Options{Gap: demo.Pace})
//	go s.Serve(listener)
//	defer s.Shutdown(ctx)
//
// It is no model. It says one text to everyone, repeats nothing of what it is
// sent, and keeps nothing. One word counts as one token, in prompts and in
// answers. Any key and any model name is taken; "demo" is the one it lists.
package demo

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-json"
	"github.com/valyala/fasthttp"
)

// Model is the one name that GET /v1/models lists.
const Model = "demo"

// Pace is a gap between words that reads like a model at work.
const Pace = 30 * time.Millisecond

// Options vary how the provider answers. The zero value answers at once.
type Options struct {
	Latency time.Duration // before every answer
	Gap     time.Duration // between two words of a stream; 0 sends all of them in one write
	Tokens  int           // words in an answer, if the request does not want fewer; 0 is the text's own length
}

// maxBody bounds a request; a larger one is refused by the HTTP server.
const maxBody = 64 << 20

// Server is the demo provider. New makes it; Serve may be called once.
type Server struct {
	opts Options
	http fasthttp.Server
	done chan struct{} // closed by Shutdown; streams and pauses end with it

	mu sync.Mutex // guards ln, and the closing of done
	ln net.Listener
}

// New prepares a server.
func New(o Options) *Server {
	s := &Server{opts: o, done: make(chan struct{})}
	s.http = fasthttp.Server{
		Handler:                      s.Handle,
		ReadBufferSize:               16 << 10,
		MaxRequestBodySize:           maxBody,
		ReadTimeout:                  time.Minute,
		IdleTimeout:                  75 * time.Second,
		TCPKeepalive:                 true,
		NoDefaultServerHeader:        true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       silent{},
	}
	return s
}

// Serve answers on ln until Shutdown, which makes it return nil.
func (s *Server) Serve(ln net.Listener) error {
	if !s.adopt(ln) {
		return ln.Close()
	}
	err := s.http.Serve(ln)
	if s.stopped() {
		return nil
	}
	return err
}

// adopt keeps the listener for Shutdown, which may come before the server has
// begun to accept; it reports false after Shutdown.
func (s *Server) adopt(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ln = ln
	return !s.stopped()
}

// Shutdown stops accepting, breaks running streams off, and waits for the
// connections to end until ctx does.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopped() {
		close(s.done)
	}
	ln := s.ln
	s.mu.Unlock()
	err := s.http.ShutdownWithContext(ctx)
	if ln != nil {
		ln.Close() // again, mostly: a listener that is closed already says so
	}
	return err
}

func (s *Server) stopped() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// pause waits for d and reports whether the server still runs.
func (s *Server) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}

// Handle answers one request: Serve's handler, for servers that have a demo
// provider inside.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	answer := s.endpoint(path)
	want := fasthttp.MethodPost
	if strings.HasPrefix(path, "/v1/models") {
		want = fasthttp.MethodGet
	}
	switch {
	case answer == nil:
		fail(ctx, fasthttp.StatusNotFound, "", fmt.Sprintf("The demo provider has no %s.", path))
		return
	case string(ctx.Method()) != want:
		ctx.Response.Header.Set(fasthttp.HeaderAllow, want)
		fail(ctx, fasthttp.StatusMethodNotAllowed, "", fmt.Sprintf("Use %s here.", want))
		return
	case want == fasthttp.MethodGet:
		answer(ctx, nil)
		return
	}
	q, problem := parse(ctx.PostBody())
	if problem != nil {
		fail(ctx, fasthttp.StatusBadRequest, problem.param, problem.message)
		return
	}
	if !s.pause(s.opts.Latency) {
		fail(ctx, fasthttp.StatusServiceUnavailable, "", "The demo provider is shutting down.")
		return
	}
	answer(ctx, q)
}

// endpoint finds what answers a path; nil for unknown ones.
func (s *Server) endpoint(path string) func(*fasthttp.RequestCtx, *request) {
	switch path {
	case "/v1/chat/completions":
		return s.chat
	case "/v1/completions":
		return s.completions
	case "/v1/responses":
		return s.responses
	case "/v1/embeddings":
		return s.embeddings
	case "/v1/models":
		return listModels
	case "/v1/models/" + Model:
		return showModel
	}
	return nil
}

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

var theModel = model{ID: Model, Object: "model", Created: 1_700_000_000, OwnedBy: "llm-proxy"}

func listModels(ctx *fasthttp.RequestCtx, _ *request) {
	send(ctx, struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{"list", []model{theModel}})
}

func showModel(ctx *fasthttp.RequestCtx, _ *request) { send(ctx, theModel) }

// send answers 200 with v.
func send(ctx *fasthttp.RequestCtx, v any) {
	ctx.SetContentType("application/json")
	ctx.SetBody(encode(v))
}

// fail answers with an error in OpenAI's shape.
func fail(ctx *fasthttp.RequestCtx, status int, param, message string) {
	type detail struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	d := detail{Message: message, Type: "invalid_request_error"}
	if param != "" {
		d.Param = &param
	}
	ctx.SetStatusCode(status)
	send(ctx, struct {
		Error detail `json:"error"`
	}{d})
}

// encode is v as JSON; every type here has one.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: demo: " + err.Error())
	}
	return b
}

// silent drops the HTTP server's own messages: they are about broken requests.
type silent struct{}

// Printf implements fasthttp.Logger.
func (silent) Printf(string, ...any) {}
