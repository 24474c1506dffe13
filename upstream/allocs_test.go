//go:build !race && !portable

package upstream

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// discard reads the answer away.
func discard(a *Attempt, buf []byte) (n int, err error) {
	for {
		m, err := a.Read(buf)
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// fixed serves answers without allocating, so that only the client's show.
func fixed(requestLen int, answer []byte) func(*peer) {
	return func(p *peer) {
		buf := make([]byte, requestLen)
		for {
			if _, err := io.ReadFull(p.Conn, buf); err != nil {
				return
			}
			if _, err := p.Conn.Write(answer); err != nil {
				return
			}
		}
	}
}

const realHead = "HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 10:00:00 GMT\r\ncontent-type: application/json\r\nserver: cloudflare\r\n" +
	"openai-organization: org\r\nopenai-processing-ms: 321\r\nopenai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 10000\r\n" +
	"x-ratelimit-limit-tokens: 2000000\r\nx-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999978\r\n" +
	"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 0s\r\nx-request-id: req_0123456789abcdef\r\n" +
	"strict-transport-security: max-age=31536000; includeSubDomains; preload\r\nset-cookie: __cf_bm=abcdef; path=/; HttpOnly\r\n" +
	"x-content-type-options: nosniff\r\ncf-ray: 8e0f1f2a3b4c5d6e-FRA\r\nalt-svc: h3=\":443\"; ma=86400\r\n"

// exchanges are the two that matter: a whole answer, and a stream.
func exchanges() (whole, events string) {
	body := strings.Repeat("x", 1024)
	whole = realHead + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	event := "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" hello\"}}]}\n\n"
	events = realHead + "Transfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", len(event), event), 100) + doneChunk + lastChunk
	return whole, events
}

// On a warm plain connection a request allocates nothing, whole or streamed.
func TestRequestAllocatesNothing(t *testing.T) {
	f := func(name string, q *Request, answer string, limit float64) {
		t.Helper()
		request := []byte(nil)
		c := newClient(t, Settings{APIBase: "http://127.0.0.1:65535"})
		request = c.appendHead(request, q)
		p := provide(t, fixed(len(request)+q.size(), []byte(answer)))
		c = p.client(func(s *Settings) { s.APIBase, s.APIKey = "http://"+p.ln.Addr().String(), "" })
		var a Attempt
		buf := make([]byte, 16<<10)
		run := func() {
			if err := a.Send(c, q); err != nil {
				t.Fatal(err)
			}
			if n, err := discard(&a, buf); err != nil || n < 1000 {
				t.Fatal(n, err)
			}
			a.Close()
		}
		for range 10 {
			run()
		}
		if got := testing.AllocsPerRun(500, run); got > limit {
			t.Errorf("%s: got %v allocations, want %v", name, got, limit)
		}
		if s := c.Stats(); s.Dials != 1 {
			t.Errorf("%s: got %+v", name, s)
		}
		p.stop()
	}
	whole, events := exchanges()
	f("whole", post(strings.Repeat("q", 1024)), whole, 0)
	f("whole, large request", post(strings.Repeat("q", 200<<10)), whole, 0)
	f("stream", stream(strings.Repeat("q", 1024)), events, 0)
}

// An open stream costs little while it waits for its next event.
func TestOpenStreamsAreSmall(t *testing.T) {
	const streams = 500
	hold := make(chan bool)
	p := provide(t, func(p *peer) {
		p.request()
		p.say(realHead + "Transfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n")
		<-hold
	})
	c := p.client()
	attempts := make([]*Attempt, streams)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // the second empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	buf := make([]byte, 100)
	for i := range attempts {
		attempts[i] = new(Attempt)
		if err := attempts[i].Send(c, stream("{}")); err != nil {
			t.Fatal(err)
		}
		if n, err := attempts[i].Read(buf); err != nil || n != 3 {
			t.Fatal(n, err)
		}
		if attempts[i].buf != nil {
			t.Fatal("an open stream holds a buffer")
		}
	}
	each := (heap() - before) / streams
	if each > 8<<10 {
		t.Errorf("got %d bytes a stream, want 8 KiB at most", each)
	}
	t.Logf("%d bytes a stream", each)
	close(hold)
	for _, a := range attempts {
		a.Close()
	}
}

func BenchmarkPost(b *testing.B) {
	whole, _ := exchanges()
	benchmark(b, post(strings.Repeat("q", 1024)), whole, 1024)
}

func BenchmarkStream100(b *testing.B) {
	_, events := exchanges()
	benchmark(b, stream(strings.Repeat("q", 1024)), events, 100*113+14)
}

// benchmark makes one exchange after the other and checks what each gave.
func benchmark(b *testing.B, q *Request, answer string, want int) {
	c := newClient(b, Settings{APIBase: "http://127.0.0.1:65535"})
	n := len(c.appendHead(nil, q)) + q.size()
	p := provide(b, fixed(n, []byte(answer)))
	c = newClient(b, Settings{APIBase: "http://" + p.ln.Addr().String(), Timeouts: Timeouts{
		Connect: 5e9, Write: 30e9, FirstByte: 300e9, Idle: 120e9, Total: 300e9,
	}})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var a Attempt
		buf := make([]byte, 16<<10)
		for pb.Next() {
			if err := a.Send(c, q); err != nil {
				b.Error(err)
				return
			}
			if got, err := discard(&a, buf); err != nil || got != want {
				b.Errorf("got %d bytes and %v, want %d", got, err, want)
				return
			}
			a.Close()
		}
	})
}
