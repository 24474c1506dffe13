package server_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// quick makes the limits of an attempt short.
func quick(_ *server.Options, b *route.Builder) {
	b.Client.Timeouts.Connect = 300 * time.Millisecond
	b.Client.Timeouts.FirstByte = 150 * time.Millisecond
	b.Client.Timeouts.Idle = 150 * time.Millisecond
}

// What one provider does wrong before the commit point costs the client
// nothing: the next one answers.
func TestFailover(t *testing.T) {
	f := func(name, reason, body string, bad fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			a, b := fakeprovider.Start(t), fakeprovider.Start(t)
			set := serves(a, b)
			set.Providers[1].Priority = 0
			set.Providers[0].Weight = 1_000_000 // a is drawn first
			r := start(t, set, quick)
			a.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return bad })
			got := r.post(chat, body)
			if got.status != 200 || got.err != nil || strings.Contains(string(got.body), `"error"`) {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			if p := got.header.Get("X-Llm-Proxy-Provider"); p != "b" {
				t.Errorf("answered by %q", p)
			}
			if n := got.header.Get("X-Llm-Proxy-Attempts"); n != "2" {
				t.Errorf("attempts: %s", n)
			}
			if n := r.metric("llm_proxy_retries_total", `provider="a"`, `reason="`+reason+`"`); n != 1 {
				t.Errorf("retries because of %s: %v", reason, n)
			}
			if a.Count() != 1 || b.Count() != 1 {
				t.Errorf("asked %d and %d times", a.Count(), b.Count())
			}
		})
	}
	ok := `{"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`
	for _, body := range []string{hello, helloSSE} {
		f("500", "server_error", body, fakeprovider.Fail(500, "server_error", "boom"))
		f("502", "unavailable", body, fakeprovider.Status(502, "<html>bad gateway</html>"))
		f("503", "unavailable", body, fakeprovider.Fail(503, "overloaded", "busy"))
		f("529", "unavailable", body, fakeprovider.Fail(529, "overloaded", "busy"))
		f("429", "rate_limited", body, fakeprovider.Limited(time.Second))
		f("401", "auth", body, fakeprovider.Fail(401, "invalid_api_key", "who?"))
		f("403", "auth", body, fakeprovider.Fail(403, "forbidden", "no"))
		f("silence", "timeout", body, fakeprovider.Answer{Ending: fakeprovider.Silent, Delay: time.Hour})
		f("reset inside the head", "invalid_answer", body, fakeprovider.Answer{Raw: " ", Ending: fakeprovider.RST})
		f("garbage", "invalid_answer", body, fakeprovider.Answer{Raw: "garbage\r\n\r\n", Ending: fakeprovider.FIN})
		f("html", "invalid_answer", body, fakeprovider.OK("<html>hello</html>"))
		f("short body", "invalid_answer", body, fakeprovider.Answer{Parts: []string{ok}, Missing: 10, Ending: fakeprovider.FIN})
		f("huge header", "invalid_answer", body, fakeprovider.Answer{Header: []string{"X-Big: " + strings.Repeat("x", 80<<10)}, Parts: []string{ok}})
	}
	f("stream without a first event", "invalid_answer", helloSSE, fakeprovider.Events(": hello\n\n"))
	f("stream that begins with an error", "invalid_answer", helloSSE, fakeprovider.Events(fakeprovider.Data(`{"error":{"message":"x"}}`)))
	f("stream cut before its first event", "invalid_answer", helloSSE,
		fakeprovider.Events(": hello\n\n", fakeprovider.Data(`{"choices":[{"delta":{"content":"x"}}]}`)).CutInside(1, fakeprovider.FIN))
}

func TestConnectFailureGoesOn(t *testing.T) {
	good := fakeprovider.Start(t)
	for name, address := range map[string]string{"refusing": fakeprovider.Refusing(t), "hanging": fakeprovider.Hanging(t), "no such host": "no-such-host.invalid:80"} {
		t.Run(name, func(t *testing.T) {
			set := serves(good, good)
			set.Providers[0].APIBase = "http://" + address + "/v1"
			r := start(t, set, quick)
			if a := r.post(chat, hello); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// When nobody is left the client learns what happened, in its own SDK's terms.
func TestAllProvidersFail(t *testing.T) {
	f := func(name string, status int, code string, bad fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			a, b := fakeprovider.Start(t), fakeprovider.Start(t)
			r := start(t, serves(a, b), quick)
			for _, p := range []*fakeprovider.Provider{a, b} {
				p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return bad })
			}
			got := r.post(chat, hello)
			if c := got.code(t); got.status != status || c != code {
				t.Errorf("%d %q %s, want %d %q", got.status, c, got.body, status, code)
			}
		})
	}
	f("500 as the provider put it", 500, "server_error", fakeprovider.Fail(500, "server_error", "boom"))
	f("429 as the provider put it", 429, "rate_limit_exceeded", fakeprovider.Limited(time.Second))
	f("our key refused", 502, "upstream_auth_failed", fakeprovider.Fail(401, "invalid_api_key", "who?"))
	f("our key forbidden", 502, "upstream_auth_failed", fakeprovider.Fail(403, "forbidden", "no"))
	f("silence", 504, "upstream_timeout", fakeprovider.Answer{Ending: fakeprovider.Silent, Delay: time.Hour})
	f("garbage", 502, "upstream_error", fakeprovider.Answer{Raw: "garbage\r\n\r\n", Ending: fakeprovider.FIN})
}

// A client's own fault is not retried, and comes back as the provider put it.
func TestClientsFaultIsNotRetried(t *testing.T) {
	for _, status := range []int{400, 404, 409, 413, 415, 422} {
		a, b := fakeprovider.Start(t), fakeprovider.Start(t)
		r := start(t, serves(a, b))
		want := `{"error":{"message":"yours","type":"invalid_request_error","param":"temperature","code":"bad"}, "more":1}`
		a.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Status(status, want) })
		got := r.post(chat, hello)
		if got.status != status || string(got.body) != want || a.Count() != 1 || b.Count() != 0 {
			t.Errorf("%d: %d %s; asked %d and %d times", status, got.status, got.body, a.Count(), b.Count())
		}
	}
}

// Retry-After passes unrenamed, and the provider rests that long.
func TestRetryAfterPasses(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Script(fakeprovider.Limited(5500 * time.Millisecond))
	got := r.post(chat, hello)
	if got.status != 429 || got.header.Get("Retry-After") == "" || got.header.Get("Retry-After-Ms") != "5500" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if r.target(0).Breaker.Ready(time.Now().Add(time.Second).UnixNano()) {
		t.Error("the provider does not rest")
	}
}

// At most three targets are asked for one request.
func TestAtMostThreeAttempts(t *testing.T) {
	set := serves()
	var all []*fakeprovider.Provider
	for i := range 5 {
		p := fakeprovider.Start(t)
		p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(500, "server_error", "boom") })
		all = append(all, p)
		set.Providers = append(set.Providers, provider(int64(i+1), string(rune('a'+i)), p.URL()))
	}
	r := start(t, set)
	got := r.post(chat, hello)
	asked := 0
	for _, p := range all {
		asked += p.Count()
	}
	if got.status != 500 || asked != 3 {
		t.Errorf("%d after %d attempts", got.status, asked)
	}
}

// A provider at its max_concurrency spills over to the next.
func TestMaxConcurrencySpills(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(a, b)
	one := int64(1)
	set.Providers[0].Params.MaxConcurrency = &one
	r := start(t, set)
	hold := make(chan struct{})
	held := fakeprovider.OK(`{"choices":[]}`)
	held.Hold = hold
	a.Script(held)
	first := make(chan answer)
	go func() { first <- r.post(chat, hello) }()
	a.Next(t)
	if got := r.post(chat, hello); got.status != 200 || got.header.Get("X-Llm-Proxy-Provider") != "b" {
		t.Errorf("%d by %s", got.status, got.header.Get("X-Llm-Proxy-Provider"))
	}
	close(hold)
	if got := <-first; got.status != 200 {
		t.Errorf("the first: %d", got.status)
	}
}

// Connections that the provider closed while they were idle cost nothing.
func TestStaleConnections(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	for range 20 {
		if a := r.post(chat, hello); a.status != 200 || a.header.Get("X-Llm-Proxy-Attempts") != "1" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		p.CloseConnections()
	}
}

// A weight of 3 to 1 is a share of 3 to 1.
func TestWeights(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(a, b)
	set.Providers[1].Priority = 0
	set.Providers[0].Weight = 3
	r := start(t, set)
	const n = 400
	for range n {
		if got := r.post(chat, hello); got.status != 200 {
			t.Fatal(got.status)
		}
	}
	if share := float64(a.Count()) / n; share < 0.65 || share > 0.85 { // 4.6 standard deviations
		t.Errorf("a has %.2f of the requests, want 0.75", share)
	}
	if a.Count()+b.Count() != n {
		t.Errorf("%d + %d requests", a.Count(), b.Count())
	}
}

func TestTLSProvider(t *testing.T) {
	p := fakeprovider.Start(t, fakeprovider.Options{TLS: true})
	trusting := func(_ *server.Options, b *route.Builder) { b.Client.RootCAs = fakeprovider.Roots(t) }
	f := func(name string, want int, change func(*server.Options, *route.Builder)) {
		t.Helper()
		r := start(t, serves(p), change)
		for _, body := range []string{hello, helloSSE} {
			if a := r.post(chat, body); a.status != want {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
	}
	f("private CA trusted", 200, trusting)
	f("unknown CA", 502, quick)
	f("VERIFY_SSL=false", 200, func(_ *server.Options, b *route.Builder) { b.Client.InsecureTLS = true })
	var e struct{ Error struct{ Message string } }
	r := start(t, serves(p), quick)
	_ = json.Unmarshal(r.post(chat, hello).body, &e)
	if host, _, _ := net.SplitHostPort(p.Addr()); strings.Contains(e.Error.Message, host) {
		t.Errorf("the client learns the provider's address: %s", e.Error.Message)
	}
}
