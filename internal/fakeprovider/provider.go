// Package fakeprovider is an OpenAI-compatible provider for tests: it answers
// over real sockets, keeps what it was sent, and misbehaves on demand.
//
//	p := fakeprovider.Start(t)
//	p.Script(fakeprovider.Fail(500, "server_error", "boom")) // the next request
//	…                                                        // all others: as OpenAI would
//	seen := p.Next(t)
//
// It reads and writes HTTP/1.1 itself, on the bare connection, because no
// proper server breaks the protocol in the ways that providers do. It is
// strict with what it receives: whatever a careful server would refuse is a
// Fault, and Start fails the test for it.
package fakeprovider

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// Options are set before the provider starts. The zero value is a plain
// provider on a free port of 127.0.0.1 that takes any key.
type Options struct {
	Addr string // "127.0.0.1:0" when empty
	Key  string // the one key that is let in; empty lets everyone in
	TLS  bool   // serve TLS under a private CA; see Roots and WriteRoots
	// StallHandshake accepts connections and never says a word: what a
	// connect timeout that includes the TLS handshake is tested with.
	StallHandshake bool
	Models         []string // what GET /v1/models lists; "fake-model" when nil
	Keep           int      // how many requests are remembered; 0 is 10000
}

// Handler decides how one request is answered.
type Handler func(*Request) Answer

// Provider is a running fake. All methods may be called from any goroutine.
type Provider struct {
	opts Options
	ln   net.Listener
	tls  *tls.Config
	done chan struct{} // closed by Close
	wg   sync.WaitGroup

	mu        sync.Mutex // guards what follows
	handler   Handler
	script    []Handler
	requests  []*Request
	forgotten int           // requests that were dropped from the front of requests
	taken     int           // requests that Next has handed out
	news      chan struct{} // closed and replaced at each arrival
	conns     map[*conn]struct{}
	opened    int64
	faults    []string
}

// Start runs a provider until the test ends. The test fails when the provider
// was sent something that is not proper HTTP; see Faults.
func Start(tb testing.TB, opts ...Options) *Provider {
	tb.Helper()
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	p, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		p.Close()
		for _, fault := range p.Faults() {
			tb.Errorf("the fake provider was sent a bad request: %s", fault)
		}
	})
	return p
}

// New runs a provider; the caller closes it.
func New(o Options) (*Provider, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Models == nil {
		o.Models = []string{"fake-model"}
	}
	if o.Keep == 0 {
		o.Keep = 10_000
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the fake provider: %w", err)
	}
	p := &Provider{
		opts: o, ln: ln,
		done: make(chan struct{}), news: make(chan struct{}),
		conns: map[*conn]struct{}{},
	}
	if o.TLS {
		if p.tls, err = serverTLS(); err != nil {
			ln.Close()
			return nil, err
		}
	}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is host:port.
func (p *Provider) Addr() string { return p.ln.Addr().String() }

// URL is what a provider's api_base is set to: it ends in /v1.
func (p *Provider) URL() string {
	if p.opts.TLS {
		return "https://" + p.Addr() + "/v1"
	}
	return "http://" + p.Addr() + "/v1"
}

// Handle replaces how requests are answered; nil is OpenAI again.
func (p *Provider) Handle(h Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

// Script queues answers for the next requests, one each, before Handle's turn.
func (p *Provider) Script(answers ...Answer) {
	for _, a := range answers {
		p.ScriptFunc(func(*Request) Answer { return a })
	}
}

// ScriptFunc is Script for answers that depend on the request.
func (p *Provider) ScriptFunc(handlers ...Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, handlers...)
}

// Reset forgets the script, the handler, the faults and all requests seen.
func (p *Provider) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler, p.script, p.requests, p.faults = nil, nil, nil, nil
	p.forgotten, p.taken = 0, 0
}

// Close stops listening, ends every connection and waits for all goroutines.
func (p *Provider) Close() {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.ln.Close()
	for c := range p.conns {
		c.close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// CloseConnections ends the connections that are open now, as a provider that
// restarts does; new ones are taken.
func (p *Provider) CloseConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.close()
	}
}

// accept serves connections until Close.
func (p *Provider) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		if c := p.track(nc); c != nil {
			p.wg.Go(c.serve)
		}
	}
}

// track registers a new connection; nil after Close.
func (p *Provider) track(nc net.Conn) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		nc.Close()
		return nil
	default:
	}
	p.opened++
	c := newConn(p, p.opened, nc)
	p.conns[c] = struct{}{}
	return c
}

func (p *Provider) untrack(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// choose takes the next scripted answer, or asks the handler.
func (p *Provider) choose(r *Request) Answer {
	p.mu.Lock()
	h := p.handler
	if len(p.script) > 0 {
		h, p.script = p.script[0], p.script[1:]
	}
	p.mu.Unlock()
	if h == nil {
		h = OpenAI
	}
	return h(r)
}

// Open is the number of connections that are open now.
func (p *Provider) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Opened is the number of connections ever accepted.
func (p *Provider) Opened() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Faults lists, and forgets, what was received that is not proper HTTP/1.1.
func (p *Provider) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	faults := p.faults
	p.faults = nil
	return faults
}

func (p *Provider) fault(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, text)
}

// waitLimit bounds every wait for something that a test expects.
const waitLimit = 20 * time.Second
