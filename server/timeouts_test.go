package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/upstream"
	"llmproxy/usage"
)

// limit is the one timeout that is set in a test of timeouts.
const limit = 250 * time.Millisecond

func limitMS() *int64 {
	ms := limit.Milliseconds()
	return &ms
}

// noLimits switches every timeout off, so that only the one under test can end
// an attempt, and takes large bodies.
func noLimits(o *server.Options, b *route.Builder) {
	b.Client.Timeouts = upstream.Timeouts{}
	o.MaxBodyBytes = 64 << 20
}

// silent is a provider that does what no HTTP server does: each connection is
// the test's, and closed when the test ends. Its kernel takes little of what is
// not read: it would take some MB on some machines, and a write never wait.
func silent(t *testing.T, do func(net.Conn)) (address string) {
	t.Helper()
	ln, err := (&net.ListenConfig{Control: smallReceiveBuffer}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		open []net.Conn
		all  sync.WaitGroup
	)
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { do(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// smallReceiveBuffer has effect on the connections that the listener accepts.
func smallReceiveBuffer(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
	})
	return errors.Join(failed, err)
}

// patient is post for a request that may hang when a limit does not work: then
// the test fails instead.
func (r *rig) patient(path, body string) answer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit+8*time.Second)
	defer cancel()
	req := r.request("POST", path, body).WithContext(ctx)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatalf("the limit did not end it: %v", err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	if errors.Is(a.err, context.DeadlineExceeded) {
		r.t.Fatalf("the limit did not end it after %.200q", a.body)
	}
	return a
}

// inTime fails the test unless what began then took the limit and little more.
func inTime(t *testing.T, began time.Time, limits int) {
	t.Helper()
	took, want := time.Since(began), time.Duration(limits)*limit
	if took < want-5*time.Millisecond || took > want+time.Second*slack {
		t.Errorf("took %v, want a little over %v", took, want)
	}
}

// Each limit of provider_params on its own ends an attempt at a provider that
// would keep it for ever; the next target is asked at once, the one that ran
// into its limit not again, and alone it is a 504 that SDKs know. R12, R14.
func TestTimeoutsBeforeTheAnswer(t *testing.T) {
	f := func(name, body string, set func(*config.Params), base func(t *testing.T) string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := fakeprovider.Start(t)
			both := serves(b, b)
			both.Providers[0].APIBase = base(t)
			set(&both.Providers[0].Params)
			r := start(t, both, noLimits, func(_ *server.Options, b *route.Builder) { b.Client.InsecureTLS = true })
			before := time.Now()
			got := r.patient(chat, body)
			inTime(t, before, 1)
			if got.status != 200 || got.err != nil || got.header.Get("X-Llm-Proxy-Provider") != "b" || got.header.Get("X-Llm-Proxy-Attempts") != "2" {
				t.Errorf("%d %v %.200s (%v)", got.status, got.header, got.body, got.err)
			}
			if n := r.metric("llm_proxy_retries_total", `provider="a"`, `reason="timeout"`); n != 1 {
				t.Errorf("counted as a timeout: %v", n)
			}
			b.Script(fakeprovider.Fail(503, "overloaded", "busy"))
			if got := r.patient(chat, body); got.status != 503 || got.header.Get("X-Llm-Proxy-Attempts") != "2" {
				t.Errorf("with a fallback that fails: %d after %s attempts", got.status, got.header.Get("X-Llm-Proxy-Attempts"))
			}

			r.source.set.Store(&config.Set{Version: 2, Providers: both.Providers[:1], Credentials: both.Credentials})
			if _, err := r.live.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			before = time.Now()
			got = r.patient(chat, body)
			inTime(t, before, 1)
			if got.status != 504 || got.code(t) != "upstream_timeout" || got.header.Get("X-Llm-Proxy-Attempts") != "1" {
				t.Errorf("alone: %d after %s attempts: %s", got.status, got.header.Get("X-Llm-Proxy-Attempts"), got.body)
			}
			if n := r.metric("llm_proxy_requests_total", `status_code="504"`, `provider="a"`); n != 1 {
				t.Errorf("504s counted: %v", n)
			}
		})
	}
	answers := func(a fakeprovider.Answer) func(*testing.T) string {
		return func(t *testing.T) string {
			p := fakeprovider.Start(t)
			p.Handle(always(a))
			return p.URL()
		}
	}
	connect := func(p *config.Params) { p.ConnectTimeoutMS = limitMS() }
	f("connect", hello, connect, func(t *testing.T) string { return "http://" + fakeprovider.Hanging(t) + "/v1" })
	f("connect: TLS handshake", hello, connect, func(t *testing.T) string {
		return fakeprovider.Start(t, fakeprovider.Options{TLS: true, StallHandshake: true}).URL()
	})
	f("connect: half a TLS handshake", hello, connect, func(t *testing.T) string {
		return "https://" + silent(t, func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 3}) }) + "/v1"
	})

	large := `{"model":"gpt-4","input":"` + strings.Repeat("x", 8<<20) + `"}`
	f("write", large, func(p *config.Params) { p.WriteTimeoutMS = limitMS() }, func(t *testing.T) string {
		return "http://" + silent(t, func(c net.Conn) {
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
			_, _ = io.ReadFull(c, make([]byte, 1000))
		}) + "/v1"
	})

	firstByte := func(p *config.Params) { p.FirstByteTimeoutMS = limitMS() }
	f("first byte", hello, firstByte, answers(fakeprovider.Answer{Delay: time.Hour}))
	f("first byte of a stream", helloSSE, firstByte, answers(fakeprovider.Answer{Delay: time.Hour}))
	f("first byte: half a head", hello, firstByte, answers(fakeprovider.Answer{Raw: "HTTP/1.1 200 OK\r\nContent-", Ending: fakeprovider.Silent}))
	f("first byte: interim answers only", hello, firstByte, answers(fakeprovider.Answer{Raw: "HTTP/1.1 103 Early Hints\r\n\r\n", Ending: fakeprovider.Silent}))

	firstEvent := func(p *config.Params) { p.FirstEventTimeoutMS = limitMS() }
	f("first event", helloSSE, firstEvent, answers(fakeprovider.Events(": wait\n\n", chunk("x")).CutAfter(1, fakeprovider.Silent)))
	f("first event: a head alone", helloSSE, firstEvent, answers(fakeprovider.Events(chunk("x")).CutAfter(0, fakeprovider.Silent)))
	comments := fakeprovider.Events(strings.SplitAfter(strings.Repeat(": wait\n\n", 2000), "\n\n")...)
	comments.Gap = 20 * time.Millisecond
	f("first event: comments only", helloSSE, firstEvent, answers(comments))

	idle := func(p *config.Params) { p.IdleTimeoutMS = limitMS() }
	f("idle in an answer", hello, idle, answers(fakeprovider.OK(`{"choices":[]}`).CutInside(0, fakeprovider.Silent)))

	total := func(p *config.Params) { p.TotalTimeoutMS = limitMS() }
	drip := fakeprovider.Answer{Parts: strings.Split(strings.Repeat("x", 2000), ""), Gap: 20 * time.Millisecond}
	f("total: silence", hello, total, answers(fakeprovider.Answer{Delay: time.Hour}))
	f("total: an answer that drips", hello, total, answers(drip))
	f("total: a stream's comments", helloSSE, total, answers(comments))
}

// After the commit point a limit ends a stream in an error event, and what is
// no stream by breaking the connection: neither can be taken for the whole.
func TestTimeoutsWithinTheAnswer(t *testing.T) {
	f := func(name, body string, set func(*config.Params), a fakeprovider.Answer, check func(*testing.T, answer)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, other := fakeprovider.Start(t), fakeprovider.Start(t)
			bad.Handle(always(a))
			both := serves(bad, other)
			set(&both.Providers[0].Params)
			r := start(t, both, noLimits)
			before := time.Now()
			got := r.patient(chat, body)
			inTime(t, before, 1)
			if got.status != 200 {
				t.Errorf("status %d", got.status)
			}
			check(t, got)
			if bad.Count() != 1 || other.Count() != 0 {
				t.Errorf("asked %d and %d times", bad.Count(), other.Count())
			}
			bad.Last().WaitGone(t)
			if rec := r.sink.wait(t, 1); rec.Outcome != usage.Truncated {
				t.Errorf("recorded %+v", rec)
			}
			if n := r.metric("llm_proxy_streams_truncated_total", `provider="a"`); n != 1 {
				t.Errorf("counted as truncated: %v", n)
			}
		})
	}
	event := func(t *testing.T, got answer) {
		t.Helper()
		if h := listen(t, got.body); !strings.HasPrefix(h.text, "x") || h.failed != "upstream_stream_error" || h.done || got.err != nil {
			t.Errorf("%+v (%v) of %.300s", h, got.err, got.body)
		}
	}
	broken := func(t *testing.T, got answer) {
		t.Helper()
		if got.err == nil {
			t.Errorf("an answer of %d bytes looks whole", len(got.body))
		}
	}
	idle := func(p *config.Params) { p.IdleTimeoutMS = limitMS() }
	f("idle between events", helloSSE, idle, fakeprovider.Events(chunk("x"), chunk("y")).CutAfter(1, fakeprovider.Silent), event)
	f("idle within an event", helloSSE, idle, fakeprovider.Events(chunk("x"), chunk("y")).CutInside(1, fakeprovider.Silent), event)
	long := fakeprovider.OK(string(bytes.Repeat([]byte("x"), 1<<20)))
	f("idle within a long answer", hello, idle, long.CutInside(0, fakeprovider.Silent), broken)

	total := func(p *config.Params) { p.TotalTimeoutMS = limitMS() }
	endless := fakeprovider.Events(strings.SplitAfter(strings.Repeat(chunk("x"), 2000), "\n\n")...)
	endless.Gap = 20 * time.Millisecond
	f("total of a stream that goes on", helloSSE, total, endless, event)
}

// A provider that is slow, but within its limits, is nobody's failure.
func TestSlowWithinLimits(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].Params = config.Params{
		ConnectTimeoutMS: limitMS(), WriteTimeoutMS: limitMS(), FirstByteTimeoutMS: limitMS(), IdleTimeoutMS: limitMS(),
	}
	if slack > 1 {
		t.Skip("a busy machine under the race detector is slow of its own")
	}
	r := start(t, set, noLimits)
	slow := fakeprovider.Events(chunk("x"), chunk("y"), chunk("z"), finish, doneMark)
	slow.Delay, slow.First, slow.Gap = limit/4, limit/4, limit/4
	p.Handle(always(slow))
	if h := listen(t, r.patient(chat, helloSSE).body); !h.complete() || h.text != "xyz" {
		t.Errorf("%+v", h)
	}
}
