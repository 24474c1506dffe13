package upstream

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
)

const ok = okHead + "Content-Length: 2\r\n\r\n{}"

// The request's head, byte for byte.
func TestRequestHead(t *testing.T) {
	f := func(s Settings, q *Request, want ...string) {
		t.Helper()
		got := string(newClient(t, s).appendHead(nil, q))
		if w := strings.Join(want, "\r\n") + "\r\n\r\n"; got != w {
			t.Errorf("got\n%q, want\n%q", got, w)
		}
	}
	f(Settings{APIBase: "https://api.example.com/v1", APIKey: "sk-1"}, post(`{"a":1}`),
		"POST /v1/chat/completions HTTP/1.1", "Host: api.example.com", "User-Agent: llm-proxy",
		"Accept-Encoding: identity", "Authorization: Bearer sk-1", "Content-Type: application/json", "Content-Length: 7")
	f(Settings{APIBase: "http://[::1]:8000/", UserAgent: "x/1"}, &Request{Method: "GET", Path: "/models", Query: []byte("a=b&c")},
		"GET /models?a=b&c HTTP/1.1", "Host: [::1]:8000", "User-Agent: x/1", "Accept-Encoding: identity")
	f(Settings{APIBase: "http://h/base/openai//"}, &Request{Method: "POST", Path: "/x", RequestID: []byte("id-1"), Header: []byte("OpenAI-Beta: a\r\nX: y\r\n")},
		"POST /base/openai/x HTTP/1.1", "Host: h", "User-Agent: llm-proxy", "Accept-Encoding: identity",
		"X-Request-Id: id-1", "OpenAI-Beta: a", "X: y", "Content-Length: 0")
}

// Nothing that could end a line gets into the request's line or fields.
func TestRequestThatCouldEndALineIsNotSent(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	f := func(edit func(*Request)) {
		t.Helper()
		q := post("{}")
		edit(q)
		var a Attempt
		_, _, err := exchange(&a, c, q)
		if e := asError(t, err); !errors.Is(err, ErrBadRequest) || e.Sent {
			t.Errorf("%+v: got %v", q, err)
		}
	}
	f(func(q *Request) { q.Method = "" })
	f(func(q *Request) { q.Method = "GET / HTTP/1.1\r\nX: y\r\n\r\nPOST" })
	f(func(q *Request) { q.Path = "" })
	f(func(q *Request) { q.Path = "x" })
	f(func(q *Request) { q.Path = "/x HTTP/1.1\r\nX: y" })
	f(func(q *Request) { q.Query = []byte("a=b c") })
	f(func(q *Request) { q.Query = []byte("a=b\r\nX: y") })
	f(func(q *Request) { q.ContentType = []byte("a\nX: y") })
	f(func(q *Request) { q.RequestID = []byte("a\rb") })
	if n := p.conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// Bodies of all sizes and cuts arrive as they are, over plain TCP and TLS.
func TestBodiesArriveWhole(t *testing.T) {
	f := func(c *Client, segments ...int) {
		t.Helper()
		q := post("")
		q.Body = nil
		var want bytes.Buffer
		for i, n := range segments {
			b := bytes.Repeat([]byte{byte('a' + i%26)}, n)
			if n > 0 {
				b[n-1] = '\n'
			}
			q.Body = append(q.Body, b)
			want.Write(b)
		}
		var a Attempt
		for range 2 {
			_, got, err := exchange(&a, c, q)
			if err != nil || got != want.String() {
				t.Fatalf("segments %v: got %d bytes %v, want %d", segments, len(got), err, want.Len())
			}
		}
	}
	plain := provide(t, echoes)
	secure, roots := provideTLS(t, nil, echoes)
	for _, c := range []*Client{plain.client(), secure.client(trusting(roots))} {
		f(c)
		f(c, 0)
		f(c, 1)
		f(c, 3800)
		f(c, 4096)
		f(c, 5000)
		f(c, 12, 8, 40)
		f(c, 12, 8, 100_000)
		f(c, 2000, 0, 3000, 0, 5, 100_000, 1, 200_000)
		f(c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 9000, 13, 14, 15, 16, 17, 18, 19, 20)
		f(c, 64<<10)
		f(c, 64<<10, 64<<10, 1)
		f(c, 8<<20)
		f(c, 3<<20, 3<<20, 10, 2<<20)
	}
	for _, p := range []*provider{plain, secure} {
		if n := p.conns.Load(); n != 1 {
			t.Errorf("got %d connections, want 1", n)
		}
	}
}

// A head that does not fit the buffer is sent all the same.
func TestLongRequestHead(t *testing.T) {
	var got asked
	p := provide(t, func(p *peer) {
		got, _ = p.request()
		p.say(ok)
	})
	c := p.client()
	q := post(strings.Repeat("b", 3000))
	q.Header = []byte("X-Long: " + strings.Repeat("h", 20_000) + "\r\n")
	var a Attempt
	if _, _, err := exchange(&a, c, q); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if len(got.header.Get("X-Long")) != 20_000 || len(got.body) != 3000 {
		t.Errorf("got a header of %d and a body of %d", len(got.header.Get("X-Long")), len(got.body))
	}
}

// A provider that refuses a request before it has read it, and closes: the
// refusal is the answer, not the broken write.
func TestEarlyAnswer(t *testing.T) {
	refuse := func(p *peer) {
		p.in.ReadString('\n')
		p.say("HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large")
	}
	plain := provide(t, refuse)
	secure, roots := provideTLS(t, nil, refuse)
	for i := range 20 {
		p, c := plain, plain.client()
		if i%2 == 1 {
			p, c = secure, secure.client(trusting(roots))
		}
		before := p.conns.Load()
		var a Attempt
		status, body, err := exchange(&a, c, post(strings.Repeat("x", 16<<20)))
		if err != nil || status != 413 || body != "too large" {
			t.Fatalf("round %d: got %d %q %v", i, status, body, err)
		}
		if n := p.conns.Load() - before; n != 1 {
			t.Errorf("round %d: got %d connections, want 1", i, n)
		}
		if s := c.Stats(); s.Idle != 0 || s.Repeats != 0 {
			t.Errorf("round %d: got %+v, want nothing kept nor repeated", i, s)
		}
	}
}

// A provider that closes in the middle of a large request and says nothing.
func TestWriteThatBreaks(t *testing.T) {
	p := provide(t, func(p *peer) { p.in.ReadString('\n') })
	var a Attempt
	_, _, err := exchange(&a, p.client(), post(strings.Repeat("x", 16<<20)))
	if e := asError(t, err); e.Phase != Write || !e.Sent || e.Reused || e.Timeout {
		t.Errorf("got %#v", e)
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Some servers say 408 to a connection that was idle for too long, and close: a
// request that crosses it on the way has not been heard.
func TestFarewellToAnIdleConnection(t *testing.T) {
	f := func(answer string, repeats int64, status int) {
		t.Helper()
		p := provide(t, func(p *peer) {
			for said := ok; ; said = answer {
				if _, okay := p.request(); !okay {
					return
				}
				p.say(said)
			}
		})
		c := p.client()
		var a Attempt
		if _, _, err := exchange(&a, c, post("{}")); err != nil {
			t.Fatal(err)
		}
		got, _, err := exchange(&a, c, post("{}"))
		if s := c.Stats(); err != nil || got != status || s.Repeats != repeats {
			t.Errorf("%q: got %d %v and %+v, want %d and %d repeats", answer, got, err, s, status, repeats)
		}
		p.stop()
	}
	f("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 1, 200)
	f("HTTP/1.0 408 Request Timeout\r\n\r\n", 1, 200)
	f("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 0, 408)
	f("HTTP/1.1 503 Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0, 503)
}

// Nobody can know that an idle connection will be closed while the request is
// on its way: that request is sent again, once, on a connection of its own.
func TestDeadPooledConnectionIsReplacedOnce(t *testing.T) {
	f := func(name string, size int, end func(*peer), dieToo bool) {
		t.Helper()
		var mu sync.Mutex
		var bodies []string
		p := provide(t, func(p *peer) {
			q, okay := p.request()
			if !okay {
				return
			}
			mu.Lock()
			bodies = append(bodies, q.body)
			mu.Unlock()
			if p.id > 1 && dieToo {
				return
			}
			p.say(ok)
			if p.id == 1 {
				p.in.Peek(1) // the next request has come
				end(p)
				return
			}
			p.in.Peek(1)
		})
		c := p.client()
		var a Attempt
		if _, _, err := exchange(&a, c, post("first")); err != nil {
			t.Fatal(err)
		}
		body := strings.Repeat("s", size)
		_, got, err := exchange(&a, c, post(body))
		if dieToo {
			if e := asError(t, err); e.Reused || !e.Sent || e.Phase != FirstByte {
				t.Errorf("%s: got %#v", name, e)
			}
		} else if err != nil || got != "{}" {
			t.Errorf("%s: got %q %v", name, got, err)
		}
		if s := c.Stats(); s.Repeats != 1 || s.Dials != 2 {
			t.Errorf("%s: got %+v, want one repeat", name, s)
		}
		p.stop()
		if len(bodies) != 2 || bodies[1] != body {
			t.Errorf("%s: the provider got %d requests", name, len(bodies))
		}
	}
	f("reset", 100, func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0) }, false)
	f("reset under a large body", 20<<20, func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0) }, false)
	f("closed after it was read", 100, func(p *peer) { p.request() }, false)
	f("reset, and the fresh one dies too", 100, func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0) }, true)
}
