package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is a TCP server that says exactly what a test wants to be said.
type provider struct {
	t     testing.TB
	ln    net.Listener
	conns atomic.Int64 // accepted so far
	wait  sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

// peer is one connection at the provider's side.
type peer struct {
	net.Conn
	id int64
	in *bufio.Reader
}

// asked is a request as the provider saw it.
type asked struct {
	line   string
	header textproto.MIMEHeader
	body   string
}

// provide starts a provider whose connections are served by serve, until the
// test ends.
func provide(t testing.TB, serve func(*peer)) *provider {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return provideOn(t, ln, serve)
}

func provideOn(t testing.TB, ln net.Listener, serve func(*peer)) *provider {
	p := &provider{t: t, ln: ln, open: map[net.Conn]bool{}}
	p.wait.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.open[c] = true
			p.mu.Unlock()
			id := p.conns.Add(1)
			p.wait.Go(func() {
				defer c.Close()
				serve(&peer{Conn: c, id: id, in: bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *provider) stop() {
	p.ln.Close()
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

func (p *provider) url() string { return "http://" + p.ln.Addr().String() + "/v1" }

// client makes a client of the provider, changed by edit.
func (p *provider) client(edit ...func(*Settings)) *Client {
	p.t.Helper()
	s := Settings{Name: "test", APIBase: p.url(), APIKey: "sk-test-key", Timeouts: Timeouts{
		Connect: 5 * time.Second, Write: 10 * time.Second, FirstByte: 10 * time.Second,
		Idle: 10 * time.Second,
	}}
	for _, e := range edit {
		e(&s)
	}
	return newClient(p.t, s)
}

func newClient(t testing.TB, s Settings) *Client {
	t.Helper()
	c, err := NewClient(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// request reads one request; false if the connection ended instead.
func (p *peer) request() (asked, bool) {
	var q asked
	tp := textproto.NewReader(p.in)
	var err error
	if q.line, err = tp.ReadLine(); err != nil {
		return q, false
	}
	if q.header, err = tp.ReadMIMEHeader(); err != nil {
		return q, false
	}
	n, _ := strconv.Atoi(q.header.Get("Content-Length"))
	body := make([]byte, n)
	if _, err := io.ReadFull(p.in, body); err != nil {
		return q, false
	}
	q.body = string(body)
	return q, true
}

// left waits until the gateway ends the connection.
func (p *peer) left() { io.Copy(io.Discard, p.in) }

func (p *peer) say(s string) error {
	_, err := io.WriteString(p, s)
	return err
}

// answers serves every request with the same bytes.
func answers(s string) func(*peer) {
	return func(p *peer) {
		for {
			if _, ok := p.request(); !ok {
				return
			}
			if p.say(s) != nil {
				return
			}
		}
	}
}

func post(body string) *Request {
	return &Request{
		Method: "POST", Path: "/chat/completions", ContentType: []byte("application/json"),
		Body: [][]byte{[]byte(body)},
	}
}

func stream(body string) *Request {
	q := post(body)
	q.Stream = true
	return q
}

// read reads the answer to its end.
func read(a *Attempt) (string, error) {
	var b strings.Builder
	_, err := io.Copy(&b, onlyReader{a})
	return b.String(), err
}

type onlyReader struct{ io.Reader }

// exchange sends, reads all and closes.
func exchange(a *Attempt, c *Client, q *Request) (status int, body string, err error) {
	defer a.Close()
	if err := a.Send(c, q); err != nil {
		return 0, "", err
	}
	body, err = read(a)
	return a.Status(), body, err
}

// asError is the *Error that every error must be.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want an *Error", err, err)
	}
	return e
}

// hasInput reports whether something waits to be read on a line: bytes, or the
// connection's end. It takes nothing.
func hasInput(t testing.TB, l *line) bool {
	t.Helper()
	raw, err := l.sock.Load().tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		_, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); err != nil {
		t.Fatal(err)
	}
	return err != syscall.EAGAIN
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about", what)
		}
		time.Sleep(time.Millisecond)
	}
}
