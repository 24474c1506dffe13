package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakecollector"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/tracing"
)

const (
	clientTrace  = "0af7651916cd43dd8448eb211c80319c"
	clientSpan   = "b7ad6b7169203331"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
	quietParent  = "00-" + clientTrace + "-" + clientSpan + "-00"
)

// traced is a data plane that tells a collector of its requests.
type traced struct {
	*rig
	tracer    *tracing.Tracer
	collector *fakecollector.Collector
}

func startTracing(t *testing.T, set *config.Set, sampler string, change ...func(*server.Options, *route.Builder)) *traced {
	t.Helper()
	c := fakecollector.Start(t)
	tracer, err := tracing.Open(config.Tracing{
		Endpoint: c.URL, Exporter: "otlp", ServiceName: "llm-proxy", SamplerName: sampler, SamplerArg: "1", QueueSize: 64,
	}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := &traced{tracer: tracer, collector: c}
	t.Cleanup(func() { r.close(0) })
	r.rig = startTraced(t, set, tracer, change...)
	return r
}

func (r *traced) close(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return r.tracer.Close(ctx)
}

// told ends the data plane and returns what the collector was told: the SERVER
// spans, and below each its attempts, in order. No secret is in it.
func (r *traced) told(requests int) (servers []fakecollector.Span, attempts map[string][]fakecollector.Span) {
	r.t.Helper()
	eventually(r.t, "all requests have ended", func() bool {
		n := 0
		s := r.tracer.Stats()
		for _, one := range r.collector.Spans() {
			if one.Server {
				n++
			}
		}
		return n == requests || s.Pending >= int64(requests)
	})
	if err := r.close(10 * time.Second); err != nil {
		r.t.Fatal(err)
	}
	attempts = map[string][]fakecollector.Span{}
	for _, s := range r.collector.Spans() {
		switch {
		case s.Server:
			servers = append(servers, s)
		case s.Client:
			attempts[s.Parent] = append(attempts[s.Parent], s)
		}
	}
	if len(servers) != requests {
		r.t.Errorf("%d requests are told of, want %d", len(servers), requests)
	}
	if raw := r.collector.Raw(); bytes.Contains(raw, []byte("canary")) {
		at := bytes.Index(raw, []byte("canary"))
		r.t.Errorf("the spans show a secret: …%q…", raw[max(0, at-80):min(len(raw), at+80)])
	}
	return servers, attempts
}

// wants compares some of a span's attributes; "" is that it is not there.
func wants(t *testing.T, s fakecollector.Span, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := s.Attributes[name]; got != value {
			t.Errorf("%s: %s = %q, want %q", s.Name, name, got, value)
		}
	}
}

// named is a chunk of a stream that names itself.
func named(rest string) string {
	return fakeprovider.Data(`{"id":"chatcmpl-7","model":"gpt-4-0613",` + rest + `}`)
}

// A stream after a failover is told of with an attempt for each provider, and
// each provider was told of its own span.
func TestTraceOfAFailover(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := startTracing(t, serves(a, b), "parentbased_always_off")
	a.Script(fakeprovider.Status(503, `{"error":{"message":"`+answerCanary+`"}}`))
	stream := fakeprovider.Events(
		named(`"choices":[{"index":0,"delta":{"content":"`+answerCanary+`"},"finish_reason":null}]`),
		named(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`),
		named(`"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}`), doneMark)
	stream.Header = append(stream.Header, "X-Request-Id: up-7")
	b.Script(stream)
	got := r.post(chat, helloSSE, "Traceparent: "+clientParent, "Tracestate: vendor=1, other=2", "X-Request-Id: mine-1")
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	servers, attempts := r.told(1)
	s := servers[0]
	if s.Trace != clientTrace || s.Parent != clientSpan || s.Name != "POST /v1/chat/completions" || s.Failed || s.End < s.Start {
		t.Errorf("%+v", s)
	}
	wants(t, s, map[string]string{
		"http.response.status_code": "200", "llm_proxy.api_key.name": "tester", "llm_proxy.request.id": "mine-1", "llm_proxy.retries": "1",
		"gen_ai.request.model": "gpt-4", "gen_ai.request.stream": "true", "llm_proxy.outcome": "ok", "llm_proxy.usage.source": "upstream", "gen_ai.usage.input_tokens": "",
	})
	two := attempts[s.ID]
	if len(two) != 2 {
		t.Fatalf("attempts: %+v", attempts)
	}
	for i, p := range []*fakeprovider.Provider{a, b} {
		h := p.Last().Header
		if want := "00-" + clientTrace + "-" + two[i].ID + "-01"; h.Get("Traceparent") != want || h.Get("Tracestate") != "vendor=1,other=2" {
			t.Errorf("provider %d was told %q, %q; want %q", i, h.Get("Traceparent"), h.Get("Tracestate"), want)
		}
	}
	wants(t, two[0], map[string]string{
		"llm_proxy.provider": "a", "gen_ai.provider.name": "openai", "error.type": "503", "http.response.status_code": "503",
		"server.address": "127.0.0.1", "gen_ai.request.model": "real-gpt-4", "gen_ai.response.model": "", "http.request.resend_count": "",
	})
	wants(t, two[1], map[string]string{
		"llm_proxy.provider": "b", "error.type": "", "http.response.status_code": "200", "http.request.resend_count": "1", "llm_proxy.upstream.request.id": "up-7",
		"gen_ai.response.id": "chatcmpl-7", "gen_ai.response.model": "gpt-4-0613", "gen_ai.response.finish_reasons": "stop",
		"gen_ai.usage.input_tokens": "11", "gen_ai.usage.output_tokens": "7", "gen_ai.usage.cache_read.input_tokens": "3",
	})
	if !two[0].Failed || two[1].Failed || two[0].End > two[1].Start || two[0].Start < s.Start || two[1].End > s.End {
		t.Errorf("%+v within %+v", two, s)
	}
	if e := two[1].Events; len(e) != 2 || e[0].Name != "llm_proxy.response_head" || e[1].Name != "llm_proxy.first_token" || e[0].At > e[1].At || e[1].At > two[1].End {
		t.Errorf("events %+v", e)
	}
}

// However a request ends, its spans say how.
func TestTracesOfEndings(t *testing.T) {
	f := func(name string, script fakeprovider.Answer, body string, header []string, server, attempt map[string]string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return script })
			r := startTracing(t, serves(p), "always_on")
			r.post(chat, body, header...)
			servers, attempts := r.told(1)
			wants(t, servers[0], server)
			switch last := attempts[servers[0].ID]; {
			case attempt == nil && len(last) > 0, attempt != nil && len(last) == 0:
				t.Errorf("%d attempts", len(last))
			case attempt != nil:
				wants(t, last[len(last)-1], attempt)
			}
		})
	}
	answer := `{"id":"c1","model":"m1","choices":[{"message":{"role":"assistant","content":"` + answerCanary + `"},"finish_reason":"length"}]`
	f("whole", fakeprovider.OK(answer+`,"usage":{"prompt_tokens":1,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":1}}}`), hello, nil,
		map[string]string{"llm_proxy.outcome": "ok", "error.type": "", "llm_proxy.retries": "0"},
		map[string]string{"gen_ai.response.id": "c1", "gen_ai.response.finish_reasons": "length", "gen_ai.usage.reasoning.output_tokens": "1"})
	f("counted here", fakeprovider.OK(answer+`}`), hello, nil,
		map[string]string{"llm_proxy.usage.source": "counted"}, map[string]string{"gen_ai.response.model": "m1", "gen_ai.response.finish_reasons": "length"})
	f("no key", fakeprovider.OK(answer+`}`), hello, []string{"Authorization: Bearer sk-canary-nobody"},
		map[string]string{"http.response.status_code": "401", "error.type": "invalid_api_key", "llm_proxy.outcome": "rejected", "llm_proxy.api_key.name": "", "gen_ai.request.model": ""}, nil)
	f("no such model", fakeprovider.OK(answer+`}`), `{"model":"canary-model","messages":[]}`, nil,
		map[string]string{"http.response.status_code": "404", "error.type": "model_not_found", "gen_ai.request.model": "", "llm_proxy.api_key.name": "tester"}, nil)
	f("the provider refuses", fakeprovider.Status(400, `{"error":{"message":"`+answerCanary+`","code":"`+answerCanary+`"}}`), hello, nil,
		map[string]string{"http.response.status_code": "400", "error.type": "400", "llm_proxy.outcome": "error"},
		map[string]string{"error.type": "400", "http.response.status_code": "400"})
	f("no answer at all", fakeprovider.Answer{Status: 200, Cut: &fakeprovider.Cut{By: fakeprovider.RST}}, hello, nil,
		map[string]string{"http.response.status_code": "502", "llm_proxy.outcome": "error"}, map[string]string{"http.response.status_code": "200", "gen_ai.usage.input_tokens": ""})
	f("cut stream", fakeprovider.Events(chunk(answerCanary), chunk("b")).CutAfter(2, fakeprovider.FIN), helloSSE, nil,
		map[string]string{"http.response.status_code": "200", "error.type": "truncated", "llm_proxy.outcome": "truncated"},
		map[string]string{"error.type": "truncated", "http.response.status_code": "200"})
}

// A stream that another provider goes on with has an attempt that broke off,
// and one that ended well.
func TestTraceOfASplicedStream(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := startTracing(t, serves(a, b), "always_on")
	a.Script(fakeprovider.Events(chunk("one "), chunk("two "), chunk("three ")).CutAfter(2, fakeprovider.RST))
	b.Script(fakeprovider.Events(chunk("one "), chunk("two "), chunk("three"), finish, doneMark))
	if got := r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice"); !strings.Contains(string(got.body), "[DONE]") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	servers, attempts := r.told(1)
	two := attempts[servers[0].ID]
	if len(two) != 2 || two[0].Attributes["error.type"] != "truncated" || two[1].Attributes["error.type"] != "" || two[0].End > two[1].Start || servers[0].Failed {
		t.Errorf("%+v %+v", servers, two)
	}
}

// A request that the client left says so, and is no error.
func TestTraceOfAClientThatLeft(t *testing.T) {
	p := fakeprovider.Start(t)
	r := startTracing(t, serves(p), "always_on")
	a := fakeprovider.OK(`{}`)
	a.Gate = make(chan struct{})
	p.Script(a)
	ctx, leave := context.WithCancel(t.Context())
	var asked sync.WaitGroup
	asked.Go(func() {
		if resp, err := http.DefaultClient.Do(r.request("POST", chat, hello).WithContext(ctx)); err == nil {
			resp.Body.Close()
		}
	})
	p.Next(t)
	leave()
	asked.Wait()
	servers, attempts := r.told(1)
	wants(t, servers[0], map[string]string{"llm_proxy.outcome": "client_gone", "http.response.status_code": "499", "error.type": ""})
	if one := attempts[servers[0].ID]; len(one) != 1 || one[0].Failed || one[0].End > servers[0].End {
		t.Errorf("%+v", one)
	}
}

// What a client sends of traces reaches the provider as it is, unless the
// gateway has something to say there itself.
func TestTraceHeadersPass(t *testing.T) {
	p := fakeprovider.Start(t)
	f := func(r *rig, parent, state, wantParent, wantState string) {
		t.Helper()
		if got := r.post(chat, hello, "Traceparent: "+parent, "Tracestate: "+state); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		h := p.Last().Header
		if sent := h.Get("Traceparent"); sent != wantParent && !(wantParent == "new" && len(sent) == 55 && !strings.Contains(sent, clientSpan)) || h.Get("Tracestate") != wantState {
			t.Errorf("%q, %q: the provider sees %q, %q, want %q, %q", parent, state, sent, h.Get("Tracestate"), wantParent, wantState)
		}
	}
	off := start(t, serves(p))
	f(off, clientParent, "a=1", clientParent, "a=1")
	f(off, "", "", "", "")
	heeds := startTracing(t, serves(p), "parentbased_always_on").rig
	f(heeds, quietParent, "a=1", quietParent, "a=1")
	f(heeds, clientParent, "a=1", "new", "a=1")
	f(heeds, clientParent, "a=1,,;;b", "new", "")
	f(heeds, clientParent, "a="+strings.Repeat("x", 600), "new", "")
	f(heeds, "00-malformed", "a=1", "new", "")
	f(heeds, "", "a=1", "new", "")
	never := startTracing(t, serves(p), "always_off").rig
	f(never, clientParent, "a=1", clientParent, "a=1")
	f(never, "", "", "", "")
}

// A collector that hangs costs spans, and no request anything.
func TestRequestsGoOnWhileTheCollectorHangs(t *testing.T) {
	p := fakeprovider.Start(t)
	r := startTracing(t, serves(p), "always_on")
	gate := make(chan struct{})
	defer close(gate)
	r.collector.Hold(gate)
	const requests = 100
	for range requests {
		if got := r.post(chat, hello); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	eventually(t, "what finds no room is dropped", func() bool {
		s := r.tracer.Stats()
		return s.Pending+s.Dropped+s.Failed == 2*requests && s.Pending <= 64 && s.Dropped > 0
	})
	if err := r.close(10 * time.Millisecond); err == nil {
		t.Error("nobody is told that spans were left behind")
	}
}
