package fakeprovider

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestRequestIsKeptAsSent(t *testing.T) {
	p := Start(t)
	c := dial(t, p)
	body := `{"model":"m",  "x":1.0}`
	say(t, c, "POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: fake\r\nX-ODD:  v \r\nAuthorization: Bearer sk-1\r\nContent-Length: "+itoa(len(body))+"\r\n\r\n"+body)
	r := p.Next(t)
	want := []string{"host: fake", "X-ODD:  v ", "Authorization: Bearer sk-1", "Content-Length: " + itoa(len(body))}
	if !slices.Equal(r.Lines, want) {
		t.Errorf("header lines: got %q, want %q", r.Lines, want)
	}
	if string(r.Body) != body || r.Framed != "length" {
		t.Errorf("body: got %q framed by %q, want %q by length", r.Body, r.Framed, body)
	}
	if r.Target != "/v1/chat/completions?a=b" || r.Path != "/v1/chat/completions" || r.Key() != "sk-1" {
		t.Errorf("got target %q, path %q, key %q", r.Target, r.Path, r.Key())
	}
}

func TestChunkedRequestBody(t *testing.T) {
	p := Start(t)
	say(t, dial(t, p), "POST /v1/chat/completions HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n")
	if r := p.Next(t); string(r.Body) != `{"a":1}` || r.Framed != "chunked" {
		t.Errorf("got %q framed by %q", r.Body, r.Framed)
	}
}

func TestConnectionsAreNumberedAndCounted(t *testing.T) {
	p := Start(t)
	c := dial(t, p)
	br := bufio.NewReader(c)
	for i := 1; i <= 3; i++ {
		p.Script(OK("{}"))
		say(t, c, post("/v1/x", "{}"))
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if r := p.Next(t); r.Conn != 1 || r.OnConn != i || r.Seq != int64(i) {
			t.Errorf("request %d: got connection %d, number %d on it, %d of all", i, r.Conn, r.OnConn, r.Seq)
		}
	}
	say(t, dial(t, p), post("/v1/x", "{}"))
	if r := p.Next(t); r.Conn != 2 || r.OnConn != 1 {
		t.Errorf("got connection %d, number %d on it", r.Conn, r.OnConn)
	}
	if p.Open() != 2 || p.Opened() != 2 || p.Count() != 4 {
		t.Errorf("got %d open of %d, %d requests", p.Open(), p.Opened(), p.Count())
	}
	c.Close()
	p.Requests()[0].WaitGone(t)
}

func TestGoneTellsWhenThePeerLeft(t *testing.T) {
	f := func(name string, a Answer) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			p := Start(t)
			p.Script(a)
			c := dial(t, p)
			say(t, c, post("/v1/x", "{}"))
			r := p.Next(t)
			select {
			case <-r.Gone:
				t.Fatal("gone before the peer left")
			case <-r.Done:
				t.Fatal("done before the peer left")
			default:
			}
			left := time.Now()
			c.Close()
			r.WaitGone(t)
			r.WaitDone(t)
			if r.GoneAt().Before(left) {
				t.Errorf("gone at %v, left at %v", r.GoneAt(), left)
			}
		})
	}
	never := make(chan struct{})
	f("before the head", Answer{Hold: never})
	f("in a long delay", Answer{Delay: time.Hour})
	f("before the first event", Answer{Framing: Chunked, First: time.Hour, Parts: []string{"x"}})
	f("between events", Answer{Framing: Chunked, Gate: never, Parts: []string{"x"}})
	f("silent", Answer{Ending: Silent})
}

// TestGoneByAFailedWrite: a peer that left while an answer was being written
// was once not told from one that the provider itself had cut off.
func TestGoneByAFailedWrite(t *testing.T) {
	p := Start(t)
	p.Handle(func(*Request) Answer {
		return Answer{Framing: Chunked, Split: 1, Parts: []string{strings.Repeat("x", 1<<20)}}
	})
	for range 20 {
		c := dial(t, p)
		say(t, c, post("/v1/x", "{}"))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		p.Next(t).WaitGone(t)
	}
}

func TestGateReleasesOnePartAtATime(t *testing.T) {
	p := Start(t)
	gate := make(chan struct{})
	a := Events(Data("1"), Data("2"))
	a.Gate = gate
	p.Script(a)
	c := dial(t, p)
	say(t, c, post("/v1/x", "{}"))
	br := bufio.NewReader(c)
	for line(t, br) != "" { // the head comes at once
	}
	r := p.Next(t)
	for _, want := range []string{"1", "2"} {
		gate <- struct{}{}
		if size, data := line(t, br), line(t, br); size != "9" || data != "data: "+want {
			t.Fatalf("got chunk size %q, %q", size, data)
		}
		line(t, br) // the event's blank line
		line(t, br) // the chunk's end
	}
	if got := r.SentAt(); len(got) != 2 || got[1].Before(got[0]) {
		t.Errorf("sent at %v", got)
	}
}

func TestScriptThenHandlerThenOpenAI(t *testing.T) {
	p := Start(t)
	p.Script(Status(418, "1"), Status(419, "2"))
	p.Handle(func(*Request) Answer { return Status(420, "3") })
	for _, want := range []int{418, 419, 420, 420} {
		if resp, _, err := fetch(t, p, "POST", "/v1/x", "{}"); err != nil || resp.StatusCode != want {
			t.Fatalf("got %v, %v, want %d", resp, err, want)
		}
	}
	p.Handle(nil)
	if resp, _, err := fetch(t, p, "GET", "/v1/models", ""); err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	p.Reset()
	if p.Count() != 0 || p.Last() != nil {
		t.Errorf("%d requests after a reset", p.Count())
	}
}

func TestOldRequestsAreForgotten(t *testing.T) {
	p := Start(t, Options{Keep: 2})
	for range 5 {
		if _, _, err := fetch(t, p, "GET", "/v1/models", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Requests(); len(got) != 2 || got[0].Seq != 4 || p.Count() != 5 {
		t.Errorf("%d kept of %d", len(got), p.Count())
	}
	if r := p.Next(t); r.Seq != 4 {
		t.Errorf("next is %d", r.Seq)
	}
}

func TestBadHTTPIsAFault(t *testing.T) {
	f := func(request, fault string) {
		t.Helper()
		p := Start(t)
		got, _ := exchangeRaw(t, p, request)
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q: got %q", request, got)
		}
		if faults := p.Faults(); len(faults) != 1 || !strings.Contains(faults[0], fault) {
			t.Errorf("%q: got faults %q, want one with %q", request, faults, fault)
		}
	}
	f("GET / HTTP/1.1\nHost: a\n\n", "line")
	f("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "request line")
	f("GET / HTTP/2\r\nHost: a\r\n\r\n", "request line")
	f("GET / HTTP/1.1\r\n\r\n", "0 Host")
	f("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "2 Host")
	f("GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", "header line")
	f("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", "header line")
	f("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "more than one")
	f("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "beside")
	f("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "Content-Length")
	f("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding")
	f("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size")
	f("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "after a chunk")
}

func TestTLS(t *testing.T) {
	p := Start(t, Options{TLS: true})
	if !strings.HasPrefix(p.URL(), "https://127.0.0.1:") {
		t.Errorf("URL is %s", p.URL())
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: Roots(t)}}
	resp, err := (&http.Client{Transport: tr}).Get(p.URL() + "/models")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	tr.CloseIdleConnections()
	p.Next(t).WaitGone(t)

	if _, err := tls.Dial("tcp", p.Addr(), nil); err == nil {
		t.Error("a client without the private CA got through")
	}
}

func TestStalledHandshake(t *testing.T) {
	p := Start(t, Options{TLS: true, StallHandshake: true})
	d := &net.Dialer{Timeout: 50 * time.Millisecond}
	var timeout net.Error
	if _, err := tls.DialWithDialer(d, "tcp", p.Addr(), nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestAddressesThatDoNotConnect(t *testing.T) {
	if c, err := net.Dial("tcp", Refusing(t)); err == nil {
		c.Close()
		t.Error("the refusing address connects")
	}
	var timeout net.Error
	if _, err := net.DialTimeout("tcp", Hanging(t), 50*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestCloseConnections(t *testing.T) {
	p := Start(t)
	p.Script(Answer{Ending: Silent})
	c := dial(t, p)
	say(t, c, post("/v1/x", "{}"))
	r := p.Next(t)
	p.CloseConnections()
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("read until the end: %v", err)
	}
	r.WaitDone(t)
	if _, _, err := fetch(t, p, "GET", "/v1/models", ""); err != nil {
		t.Errorf("a new connection is refused: %v", err)
	}
}
