package tracing

import (
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakecollector"
)

// expect compares a span's attributes, all of them.
func expect(t *testing.T, s fakecollector.Span, want map[string]string) {
	t.Helper()
	got := maps.Clone(s.Attributes)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s = %q, want %q", s.Name, name, got[name], value)
		}
		delete(got, name)
	}
	for name, value := range got {
		t.Errorf("%s: there is %s = %q too", s.Name, name, value)
	}
}

// A request that was answered at its second attempt is three spans: its own,
// below the client's, and below it one for each attempt.
func TestRequestWithTwoAttempts(t *testing.T) {
	r := fakecollector.Start(t)
	tr, _ := open(t, to(r, func(o *config.Tracing) {
		o.Headers, o.Attributes = "x-key=some%20secret", "deployment.environment.name=test,service.name=overruled"
	}))
	start := time.Unix(1_700_000_000, 123)
	at := func(ms int) int64 { return start.Add(time.Duration(ms) * time.Millisecond).UnixNano() }

	x := tr.Begin([]byte(someParent))
	x.Heed([]byte("vendor=1"))
	sent := []string{string(x.AppendHeader(nil))}
	x.Sent(Attempt{Provider: "a", Vendor: "openai", Base: "https://api.example.com/v1", Model: "real", Start: at(1), Head: at(5), Status: 500})
	x.Ended(at(6), "500", "")
	sent = append(sent, string(x.AppendHeader(nil)))
	x.Sent(Attempt{Provider: "b", Vendor: "azure", Base: "http://127.0.0.1:8080/v1", Model: "other", Start: at(10), Head: at(20), Status: 200})
	x.Ended(at(90), "", "up-1")
	x.Ended(at(95), "late", "") // says nothing any more
	x.Request = Request{
		ID: "req-1", Route: "/v1/chat/completions", Model: "gpt-4", KeyName: "alice", Status: 200, Stream: true, Attempts: 2, Outcome: "ok",
		Start: start, End: time.Unix(0, at(100)), FirstToken: 30 * time.Millisecond, Overhead: time.Millisecond,
		Usage:    Usage{Source: "upstream", Input: 10, Output: 20, Cached: 4, Reasoning: 5, CostMicroUSD: 1500},
		Response: Response{ID: "chatcmpl-1", Model: "other-2026", FinishReasons: []string{"stop", "length"}},
	}
	own := x.span
	tr.End(x)
	if err := closeWithin(tr, 10*time.Second); err != nil {
		t.Fatal(err)
	}

	byID := map[string]fakecollector.Span{}
	for _, s := range r.Spans() {
		if s.Trace != someTrace || s.State != "vendor=1" {
			t.Errorf("%+v", s)
		}
		byID[s.ID] = s
	}
	server := byID[own.String()]
	if len(byID) != 3 || !server.Server || server.Parent != someSpan || server.Name != "POST /v1/chat/completions" ||
		server.Start != start.UnixNano() || server.End != at(100) || server.Failed {
		t.Errorf("%+v", byID)
	}
	expect(t, server, map[string]string{
		"http.request.method": "POST", "http.route": "/v1/chat/completions", "url.path": "/v1/chat/completions", "http.response.status_code": "200",
		"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4", "gen_ai.request.stream": "true",
		"llm_proxy.request.id": "req-1", "llm_proxy.outcome": "ok", "llm_proxy.retries": "1", "llm_proxy.overhead": "0.001",
		"llm_proxy.usage.source": "upstream", "llm_proxy.api_key.name": "alice", "llm_proxy.time_to_first_token": "0.03", "llm_proxy.cost_usd": "0.0015",
	})

	attempt := func(n int) fakecollector.Span {
		s := byID[strings.Split(strings.Split(sent[n], "\r\n")[0], "-")[2]] // what the provider was told
		if !s.Client || s.Parent != own.String() {
			t.Errorf("attempt %d: %+v", n, s)
		}
		return s
	}
	failed, answered := attempt(0), attempt(1)
	if failed.Name != "chat real" || !failed.Failed || failed.Start != at(1) || failed.End != at(6) {
		t.Errorf("%+v", failed)
	}
	expect(t, failed, map[string]string{
		"gen_ai.operation.name": "chat", "http.request.method": "POST", "llm_proxy.provider": "a", "gen_ai.provider.name": "openai", "gen_ai.request.model": "real",
		"error.type": "500", "server.address": "api.example.com", "http.response.status_code": "500",
	})
	if answered.Failed || answered.End != at(90) || len(answered.Events) != 2 || answered.Events[1] != (fakecollector.Event{Name: "llm_proxy.first_token", At: at(30)}) {
		t.Errorf("%+v", answered)
	}
	expect(t, answered, map[string]string{
		"gen_ai.operation.name": "chat", "http.request.method": "POST", "llm_proxy.provider": "b", "gen_ai.provider.name": "azure", "gen_ai.request.model": "other",
		"server.address": "127.0.0.1", "server.port": "8080", "http.response.status_code": "200", "http.request.resend_count": "1", "llm_proxy.upstream.request.id": "up-1",
		"gen_ai.response.id": "chatcmpl-1", "gen_ai.response.model": "other-2026", "gen_ai.response.finish_reasons": "stop,length",
		"gen_ai.usage.input_tokens": "10", "gen_ai.usage.output_tokens": "20", "gen_ai.usage.cache_read.input_tokens": "4", "gen_ai.usage.reasoning.output_tokens": "5",
		"gen_ai.response.time_to_first_chunk": "0.02",
	})
	about, header := r.Last()
	if about["service.name"] != "llm-proxy" || about["service.version"] != "1.2.3" || about["deployment.environment.name"] != "test" || header.Get("X-Key") != "some secret" {
		t.Errorf("resource %v, header %v", about, header)
	}
}

// A provider's name of a model that is no UTF-8, or long, costs nobody a span:
// protobuf takes no such text, and would lose all that travels with it.
func TestOddTextsCostNoSpan(t *testing.T) {
	r := fakecollector.Start(t)
	tr, log := open(t, to(r))
	x := tr.Begin(nil)
	x.AppendHeader(nil)
	x.Sent(Attempt{Provider: "a\xff", Base: "http://[::1]:bad", Model: "m\r\n\x00" + strings.Repeat("é", 4000), Start: 1, Error: "connect"})
	x.Request = Request{ID: "\xc3", Route: "/v1/rerank", Model: "\x80", Response: Response{Model: "\xf0\x90", FinishReasons: []string{"\xff"}}, Start: time.Unix(0, 1), End: time.Unix(0, 2)}
	tr.End(x)
	if err := closeWithin(tr, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	got := r.Spans()
	if len(got) != 2 || tr.Stats().Failed != 0 {
		t.Fatalf("%d spans, %+v, log: %s", len(got), tr.Stats(), log)
	}
	for _, s := range got {
		for name, value := range s.Attributes {
			if len(value) > 4*maxText || strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("%s = %q", name, value)
			}
		}
	}
}

// The client's word counts where the sampler heeds parents, and only there.
func TestWhoIsSampled(t *testing.T) {
	r := fakecollector.Start(t)
	f := func(name, arg, traceparent string, want bool) {
		t.Helper()
		tr, _ := open(t, to(r, func(o *config.Tracing) { o.SamplerName, o.SamplerArg = name, arg }))
		if got := ended(tr, traceparent); got != want {
			t.Errorf("%s %s, %q: %v, want %v", name, arg, traceparent, got, want)
		}
	}
	f("parentbased_always_on", "", "", true)
	f("parentbased_always_on", "", someParent, true)
	f("parentbased_always_on", "", quietParent, false)
	f("parentbased_always_on", "", "malformed", true)
	f("parentbased_always_off", "", "", false)
	f("parentbased_always_off", "", someParent, true)
	f("parentbased_traceidratio", "0", someParent, true)
	f("parentbased_traceidratio", "0", "", false)
	f("traceidratio", "0", someParent, false)
	f("traceidratio", "1", quietParent, true)
	f("always_on", "", quietParent, true)
	f("always_off", "", someParent, false)
}

// Without an endpoint there is no Tracer, and nothing minds.
func TestNoEndpointNoTracer(t *testing.T) {
	f := func(o config.Tracing) {
		t.Helper()
		tr, err := Open(o, "", nil)
		if tr != nil || err != nil {
			t.Errorf("%+v: %v, %v", o, tr, err)
		}
		if tr.Begin([]byte(someParent)) != nil || tr.Stats() != (Stats{}) || tr.Close(t.Context()) != nil {
			t.Errorf("%+v: it does something", o)
		}
	}
	f(config.Tracing{})
	f(config.Tracing{Endpoint: "http://127.0.0.1:1", Disabled: true})
	f(config.Tracing{Endpoint: "http://127.0.0.1:1", Exporter: "none"})
}

// A collector that takes connections and says nothing costs spans, never time:
// End returns, what finds no room is counted, and Close keeps to its time.
func TestCollectorThatHangs(t *testing.T) {
	r := fakecollector.Start(t)
	gate := make(chan struct{})
	r.Hold(gate)
	defer close(gate)
	tr, _ := open(t, to(r, func(o *config.Tracing) { o.QueueSize = 100 }))
	const requests = 1000
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range requests / 4 {
				ended(tr, "")
			}
		})
	}
	all.Wait() // would not end if End waited
	if s := tr.Stats(); s.Pending+s.Dropped+s.Failed != 2*requests || s.Pending > 100 || s.Dropped < 2*requests-300 {
		t.Errorf("of %d spans: %+v", 2*requests, s)
	}
	if err := closeWithin(tr, 50*time.Millisecond); err == nil {
		t.Error("nothing is said of what was left behind")
	}
	eventually(t, "all spans are accounted for", func() bool {
		s := tr.Stats()
		return s.Pending == 0 && s.Exported == 0 && s.Dropped+s.Failed == 2*requests
	})
	ended(tr, "")
	if s := tr.Stats(); s.Dropped+s.Failed != 2*requests+2 {
		t.Errorf("after Close: %+v", s)
	}
}

// A collector that nobody serves, or that refuses, is told of in one line of the
// log, without the key that it was shown.
func TestCollectorThatFails(t *testing.T) {
	f := func(o config.Tracing) {
		t.Helper()
		o.Headers = "Authorization=Bearer%20canary-key"
		tr, log := open(t, o)
		for i := range int64(3) {
			ended(tr, "")
			eventually(t, "the spans failed", func() bool { return tr.Stats().Failed == 2*(i+1) })
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || strings.Contains(log.String(), "canary") {
			t.Errorf("%d lines: %s", n, log)
		}
	}
	r := fakecollector.Start(t)
	r.Refuse(401, "who is Bearer canary-key? canary-key is nobody")
	f(to(r))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	f(to(r, func(o *config.Tracing) { o.Endpoint = "http://" + ln.Addr().String() }))
}

// Close sends what waits, more than one batch of it.
func TestCloseSendsWhatWaits(t *testing.T) {
	r := fakecollector.Start(t)
	tr, _ := open(t, to(r))
	const requests = 700
	for range requests {
		ended(tr, "")
	}
	if err := closeWithin(tr, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if got, s := len(r.Spans()), tr.Stats(); got != 2*requests || s != (Stats{Exported: 2 * requests}) {
		t.Errorf("%d spans arrived; %+v", got, s)
	}
}

// A collector that comes back gets what is told from then on.
func TestCollectorComesBack(t *testing.T) {
	r := fakecollector.Start(t)
	r.Refuse(400, "")
	tr, _ := open(t, to(r))
	ended(tr, "")
	eventually(t, "a failure", func() bool { return tr.Stats().Failed == 2 })
	r.Refuse(0, "")
	ended(tr, "")
	if err := closeWithin(tr, 10*time.Second); err != nil || len(r.Spans()) != 2 {
		t.Errorf("%v, %d spans", err, len(r.Spans()))
	}
}
