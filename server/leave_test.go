package server_test

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"llmproxy/breaker"
	"llmproxy/internal/fakeprovider"
	"llmproxy/usage"
)

// leaveWithin is how soon the provider must notice. The promise is 50 ms; the
// race detector and a busy machine get some of their own.
const leaveWithin = 50 * time.Millisecond

// The client's leaving closes the provider's connection, in every phase, on
// every endpoint, however it leaves.
func TestClientLeaves(t *testing.T) {
	silent := fakeprovider.Answer{Delay: time.Hour}
	events := fakeprovider.Events(": wait\n\n", chunk("a"), chunk("b"))
	f := func(phase, path, body string, read string, a fakeprovider.Answer) {
		for _, rst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s%s rst=%v", phase, path, rst), func(t *testing.T) {
				p := fakeprovider.Start(t)
				r := start(t, serves(p))
				p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return a })
				c := r.dial(path, body)
				q := p.Next(t)
				if read != "" {
					readUntil(t, c, read)
				}
				if phase != "first_byte" {
					eventually(t, "the head is here", func() bool { return r.metric("llm_proxy_provider_latency_seconds_count") == 1 })
				}
				left := time.Now()
				if rst {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				_ = c.Close()
				q.WaitGone(t)
				if took := q.GoneAt().Sub(left); took > leaveWithin*slack {
					t.Errorf("the provider's connection was closed after %v", took)
				}
				eventually(t, "counted by phase", func() bool {
					return r.metric("llm_proxy_upstream_cancelled_total", `phase="`+phase+`"`) == 1
				})
				if rec := r.sink.wait(t, 1); rec.Outcome != usage.Cancelled {
					t.Errorf("recorded %+v", rec)
				}
				eventually(t, "nothing in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
				if s := r.target(0).Breaker.State(time.Now().UnixNano()); s != breaker.Closed {
					t.Error("the provider is blamed for it")
				}
			})
		}
	}
	waiting := events
	waiting.Cut = &fakeprovider.Cut{After: 1, By: fakeprovider.Silent}
	streaming := events
	streaming.Cut = &fakeprovider.Cut{After: 2, By: fakeprovider.Silent}
	for _, path := range []string{chat, "/v1/completions", "/v1/embeddings", "/v1/responses"} {
		f("first_byte", path, hello, "", silent)
		f("body", path, hello, "", fakeprovider.Answer{Parts: []string{"{", "}"}, Cut: &fakeprovider.Cut{After: 1, By: fakeprovider.Silent}})
	}
	for _, path := range []string{chat, "/v1/responses"} {
		f("first_event", path, helloSSE, "", waiting)
		f("event", path, helloSSE, "data: ", streaming)
	}
}

// A client that has sent half of its next request already has not left.
func TestPipeliningClientHasNotLeft(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	hold := make(chan struct{})
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.OpenAI(q)
		a.Hold = hold
		return a
	})
	c := r.dial(chat, hello)
	defer c.Close()
	p.Next(t)
	next := httpRequest(chat, hello)
	if _, err := io.WriteString(c, next[:len(next)/2]); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Last().Gone:
		t.Fatal("taken for gone")
	case <-time.After(100 * time.Millisecond):
	}
	close(hold)
	readUntil(t, c, "200 OK")
	if _, err := io.WriteString(c, next[len(next)/2:]); err != nil {
		t.Fatal(err)
	}
	readUntil(t, c, "200 OK")
}

func httpRequest(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", path, clientKey, len(body), body)
}

// dial sends a request on a connection of its own.
func (r *rig) dial(path, body string) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(c, httpRequest(path, body)); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// readUntil reads the connection until the text has come.
func readUntil(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	var seen []byte
	b := make([]byte, 1)
	for n := len(text); len(seen) < n || string(seen[len(seen)-n:]) != text; {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("waiting for %q after %q: %v", text, seen, err)
		}
		seen = append(seen, b[0])
	}
}
