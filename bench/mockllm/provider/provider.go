// Package provider is a model provider for load tests: it answers chat
// requests as a provider does, as late, as slowly and as often wrongly as it is
// told to, and costs little more than its sockets.
//
//	p := provider.New(provider.Options{Tokens: 100, Interval: 20 * time.Millisecond})
//	go p.Serve(listener)
//	defer p.Shutdown(ctx)
//
// It takes every key and every model, and does not decode what it is sent: it
// looks for "stream", "include_usage" and "max_tokens", and counts a token for
// every four bytes. llm-proxy mock and bench/mockllm are the two programs
// around it.
package provider

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Provider answers chat requests. New makes it; Serve may be called once.
type Provider struct {
	opts    Options
	text    string // of an answer's tokens
	filler  string // of an answer of so many bytes
	started int64  // seconds since 1970: what every answer says of its making
	http    fasthttp.Server
	done    chan struct{} // closed by Shutdown; waits and streams end with it
	stop    sync.Once
	scratch sync.Pool // *[]byte
}

// maxBody bounds a request; a larger one is refused by the HTTP server.
const maxBody = 64 << 20

// New prepares a provider. Options that Check finds fault with panic.
func New(o Options) *Provider {
	if err := o.Check(); err != nil {
		panic("BUG: provider: " + err.Error())
	}
	p := &Provider{
		opts: o, text: strings.Repeat(word, o.Tokens), filler: strings.Repeat("x", o.Bytes),
		started: time.Now().Unix(), done: make(chan struct{}),
	}
	p.scratch.New = func() any { return new([]byte) }
	p.http = fasthttp.Server{
		Handler:                      p.handle,
		ReadBufferSize:               16 << 10,
		MaxRequestBodySize:           maxBody,
		NoDefaultServerHeader:        true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       silent{},
	}
	return p
}

// Serve answers on ln until Shutdown, which makes it return nil.
func (p *Provider) Serve(ln net.Listener) error {
	err := p.http.Serve(ln)
	if p.stopped() {
		return nil
	}
	return err
}

// Shutdown stops accepting, breaks running streams off, and waits for the
// connections to end until ctx does.
func (p *Provider) Shutdown(ctx context.Context) error {
	p.stop.Do(func() { close(p.done) })
	return p.http.ShutdownWithContext(ctx)
}

func (p *Provider) stopped() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// await waits for the moment, and reports whether the provider still runs.
func (p *Provider) await(moment time.Time) bool {
	d := time.Until(moment)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.done:
		return false
	}
}

// handle answers one request.
func (p *Provider) handle(ctx *fasthttp.RequestCtx) {
	if p.opts.Rest != nil && (!ctx.IsPost() || string(ctx.Path()) != "/v1/chat/completions") {
		p.opts.Rest(ctx)
		return
	}
	q := read(ctx.PostBody(), p.opts.Tokens)
	wait := p.opts.latency(rand.NormFloat64())
	if !q.stream {
		wait += p.opts.spoken(q.tokens)
	}
	switch {
	case wait > 0 && ctx.IsPost() && !p.await(time.Now().Add(wait)):
		refuse(ctx, fasthttp.StatusServiceUnavailable)
	case p.opts.Errors > 0 && rand.Float64() < p.opts.Errors:
		refuse(ctx, p.opts.ErrorStatus[rand.IntN(len(p.opts.ErrorStatus))])
	case q.stream:
		ctx.SetContentType("text/event-stream; charset=utf-8")
		ctx.Response.Header.Set("Cache-Control", "no-cache")
		ctx.Response.SetBodyStream(&stream{p, q}, -1)
	default:
		p.whole(ctx, q)
	}
}

// request is what the provider looks at in a request.
type request struct {
	stream, usage  bool
	prompt, tokens int
}

// read finds it, without decoding: a text that holds such a field has its
// quotes escaped, and is not taken for one.
func read(body []byte, tokens int) request {
	q := request{prompt: max(1, len(body)/4), tokens: tokens}
	q.stream = isTrue(field(body, `"stream":`))
	q.usage = q.stream && isTrue(field(body, `"include_usage":`))
	for _, name := range []string{`"max_tokens":`, `"max_completion_tokens":`} {
		if n := number(field(body, name)); n > 0 {
			q.tokens = min(q.tokens, n)
		}
	}
	return q
}

// field is what follows a name; nil if it does not occur.
func field(body []byte, name string) []byte {
	_, rest, _ := bytes.Cut(body, []byte(name))
	return bytes.TrimLeft(rest, " \t\r\n")
}

func isTrue(text []byte) bool { return bytes.HasPrefix(text, []byte("true")) }

// number is the one that a text begins with; 0 if there is none.
func number(text []byte) (n int) {
	for _, c := range text[:min(9, len(text))] {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// silent drops the HTTP server's own messages: they are about broken requests.
type silent struct{}

// Printf implements fasthttp.Logger.
func (silent) Printf(string, ...any) {}

// errShutdown breaks a stream off, so that its reader does not take it for whole.
var errShutdown = errors.New("the provider is shutting down")
