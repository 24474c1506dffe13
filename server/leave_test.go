package server_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"llmproxy/breaker"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// leaveWithin is how soon the provider must know of a client's leaving. The
// race detector gets some time of its own.
const leaveWithin = 50 * time.Millisecond

// The client's leaving closes the provider's connection, in every phase, on
// every endpoint, however it leaves. R13.
func TestClientLeaves(t *testing.T) {
	f := func(phase, path, body string, read string, a fakeprovider.Answer) {
		for _, rst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s%s rst=%v", phase, path, rst), func(t *testing.T) {
				p := fakeprovider.Start(t)
				r := start(t, serves(p))
				p.Handle(always(a))
				c := r.dial(path, body)
				q := p.Next(t)
				if read != "" {
					readUntil(t, c, read)
				}
				if phase != "first_byte" {
					eventually(t, "the head is here", func() bool { return r.metric("llm_proxy_provider_latency_seconds_count") == 1 })
				}
				leave(c, rst)
				q.WaitGone(t)
				r.allLeft(1, phase)
			})
		}
	}
	for _, path := range []string{chat, "/v1/completions", "/v1/embeddings", "/v1/responses"} {
		f("first_byte", path, hello, "", silentBefore)
		f("body", path, hello, "", silentInBody)
	}
	for _, path := range []string{chat, "/v1/responses"} {
		f("first_event", path, helloSSE, "", silentBeforeEvent)
		f("event", path, helloSSE, "data: ", silentAfterEvent)
	}
}

// Answers that stop, each in another phase of a request.
var (
	silentBefore      = fakeprovider.Answer{Delay: time.Hour}
	silentInBody      = fakeprovider.Answer{Parts: []string{"{", "}"}}.CutAfter(1, fakeprovider.Silent)
	silentBeforeEvent = fakeprovider.Events(": wait\n\n", chunk("a")).CutAfter(1, fakeprovider.Silent)
	silentAfterEvent  = fakeprovider.Events(": wait\n\n", chunk("a"), chunk("b")).CutAfter(2, fakeprovider.Silent)
)

func leave(c net.Conn, rst bool) {
	if rst {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	_ = c.Close()
}

// allLeft holds what n requests leave behind whose clients left in a phase:
// each counted once, none in flight, nobody blamed.
func (r *rig) allLeft(n int, phase string) {
	t := r.t
	t.Helper()
	eventually(t, "counted by phase", func() bool {
		return r.metric("llm_proxy_upstream_cancelled_total", `phase="`+phase+`"`) == float64(n)
	})
	if all := r.metric("llm_proxy_upstream_cancelled_total"); all != float64(n) {
		t.Errorf("%v cancelled, of which %d in phase %s", all, n, phase)
	}
	eventually(t, "nothing in flight", func() bool {
		return r.metric("llm_proxy_active_requests") == 0 && r.metric("llm_proxy_upstream_connections", `state="active"`) == 0
	})
	r.sink.wait(t, n)
	for _, rec := range r.sink.all() {
		if rec.Outcome != usage.Cancelled {
			t.Errorf("recorded %+v", rec)
		}
	}
	if s := r.target(0).Breaker.State(time.Now().UnixNano()); s == breaker.Open {
		t.Error("the provider is blamed for it")
	}
	if r.sink.len() != n {
		t.Errorf("%d records of %d requests", r.sink.len(), n)
	}
}

// phaseOfLeaving is a moment in which clients leave.
type phaseOfLeaving struct {
	name   string
	bodies []string // whole, streamed
	answer fakeprovider.Answer
	base   string // of a provider that is no fake; "" for the fake
	// begun waits until the clients' requests are in the phase, n in all.
	begun func(t *testing.T, r *rig, clients []net.Conn, n int)
}

// In every phase 50 clients leave, half of them by FIN and half by RST, and as
// many of streamed requests where there are both: all providers know within
// 50 ms in the median (contract 7), and nothing is left. R13. The figures are
// logged: go test ./server -run TestFiftyLeave -v.
func TestFiftyLeaveInEveryPhase(t *testing.T) {
	both := []string{hello, helloSSE}
	headCame := func(t *testing.T, r *rig, _ []net.Conn, n int) {
		eventually(t, "the head is here", func() bool { return r.metric("llm_proxy_provider_latency_seconds_count") == float64(n) })
	}
	f := func(p phaseOfLeaving) { t.Run(p.name, p.run) }
	f(phaseOfLeaving{"connect", both, fakeprovider.Answer{}, "http://" + fakeprovider.Hanging(t) + "/v1", func(t *testing.T, r *rig, clients []net.Conn, _ int) {
		eventually(t, "they are being served", func() bool { return r.metric("llm_proxy_active_requests") == float64(len(clients)) })
	}})
	large := `{"model":"gpt-4","x":"` + strings.Repeat("x", 4<<20) + `"}`
	asked := make(chan bool)
	deaf := silent(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		asked <- true
	})
	f(phaseOfLeaving{"write", []string{large}, fakeprovider.Answer{}, "http://" + deaf + "/v1", func(_ *testing.T, _ *rig, clients []net.Conn, _ int) {
		for range clients {
			<-asked
		}
	}})
	f(phaseOfLeaving{"first_byte", both, silentBefore, "", func(*testing.T, *rig, []net.Conn, int) {}})
	f(phaseOfLeaving{"body", []string{hello}, silentInBody, "", headCame})
	f(phaseOfLeaving{"first_event", []string{helloSSE}, silentBeforeEvent, "", headCame})
	f(phaseOfLeaving{"event", []string{helloSSE}, silentAfterEvent, "", func(t *testing.T, _ *rig, clients []net.Conn, _ int) {
		for _, c := range clients {
			readUntil(t, c, "data: ")
		}
	}})
	f(phaseOfLeaving{"backoff", both, fakeprovider.Limited(longestPause), "", func(t *testing.T, r *rig, _ []net.Conn, n int) {
		eventually(t, "the pause has begun", func() bool { return r.metric("llm_proxy_retries_total") == float64(n) })
	}})
}

// longestPause is for how long a request waits for a provider at most.
const longestPause = 3 * time.Second

func (p phaseOfLeaving) run(t *testing.T) {
	fake := fakeprovider.Start(t)
	fake.Handle(always(p.answer))
	set := serves(fake)
	if p.base != "" {
		set.Providers[0].APIBase = p.base
	}
	r := start(t, set, noLimits, func(o *server.Options, _ *route.Builder) { o.RetryBudget = 100 })
	var took []time.Duration
	for _, body := range p.bodies {
		for _, rst := range []bool{false, true} {
			took = append(took, p.wave(t, r, fake, body, rst, len(took))...)
		}
	}
	r.allLeft(len(took), p.name)
	if p.name != "backoff" {
		eventually(t, "the provider has no connection", func() bool { return fake.Open() == 0 })
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%-11s %d left: the provider knew after p50 %v, p99 %v, max %v", p.name, len(took), median, took[len(took)*99/100], took[len(took)-1])
	if median > leaveWithin*slack {
		t.Errorf("half of them took longer than %v", median)
	}
}

// wave lets 25 clients come, and then leave one after another. It returns how
// long each was served for nobody: until the provider's connection was closed,
// or where there is none to be seen, until the request was counted, at the next
// look after at most 2 ms.
func (p phaseOfLeaving) wave(t *testing.T, r *rig, fake *fakeprovider.Provider, body string, rst bool, before int) (took []time.Duration) {
	size := 25
	if p.name == "write" {
		size /= slack // the race detector is slow with 4 MB of JSON
	}
	clients := make([]net.Conn, size)
	asked := make([]*fakeprovider.Request, size)
	for i := range clients {
		clients[i] = r.dial(chat, body)
		if p.base == "" {
			asked[i] = fake.Next(t)
		}
	}
	p.begun(t, r, clients, before+size)
	for i, c := range clients {
		left := time.Now()
		leave(c, rst)
		if asked[i] != nil && p.name != "backoff" {
			asked[i].WaitGone(t)
			took = append(took, asked[i].GoneAt().Sub(left))
			continue
		}
		eventually(t, "it is over", func() bool { return r.metric("llm_proxy_upstream_cancelled_total") == float64(before+i+1) })
		took = append(took, time.Since(left))
	}
	return took
}

// R13: a client that has sent half of its next request already has not left,
// whatever its first one waits for; both are answered. When it leaves then, it
// is noticed as any other.
func TestPipeliningClientHasNotLeft(t *testing.T) {
	f := func(name, body string, hold func(a *fakeprovider.Answer, gate <-chan struct{}), end string) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			gate := make(chan struct{})
			p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
				a := fakeprovider.OpenAI(q)
				hold(&a, gate)
				return a
			})
			c := r.dial(chat, body)
			defer c.Close()
			q := p.Next(t)
			next := httpRequest(chat, body)
			if _, err := io.WriteString(c, next[:len(next)/2]); err != nil {
				t.Fatal(err)
			}
			select {
			case <-q.Gone:
				t.Fatal("taken for gone")
			case <-time.After(100 * time.Millisecond):
			}
			close(gate)
			readUntil(t, c, end)
			p.Handle(always(silentBefore))
			if _, err := io.WriteString(c, next[len(next)/2:]+next[:len(next)/2]); err != nil {
				t.Fatal(err)
			}
			q = p.Next(t)
			c.Close()
			q.WaitGone(t)
			eventually(t, "noticed", func() bool { return r.metric("llm_proxy_upstream_cancelled_total", `phase="first_byte"`) == 1 })
		})
	}
	f("waiting for the head", hello, func(a *fakeprovider.Answer, gate <-chan struct{}) { a.Hold = gate }, `"total_tokens":18}`)
	f("waiting for the body", hello, func(a *fakeprovider.Answer, gate <-chan struct{}) { a.Gate = gate }, `"total_tokens":18}`)
	f("waiting for an event", helloSSE, func(a *fakeprovider.Answer, gate <-chan struct{}) { a.Gate = gate }, doneMark)
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
