package server_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// What the client sends reaches the provider byte for byte, but for the value
// of model; what the provider answers reaches the client byte for byte.
func TestBytesPassUntouched(t *testing.T) {
	reply := ` { "id" : 1.50e+300, "choices":[ ],"ünknown":"\u00e9\/", "usage":{"prompt_tokens":1,"completion_tokens":2},"n":12345678901234567890123 } ` + "\n"
	f := func(path, sent, want string) {
		t.Helper()
		p := fakeprovider.Start(t)
		r := start(t, serves(p))
		p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.OK(reply) })
		got := r.post(path, sent)
		if sha256.Sum256(got.body) != sha256.Sum256([]byte(reply)) || got.status != 200 {
			t.Errorf("answer: %d %s", got.status, got.body)
		}
		if seen := p.Last().Body; sha256.Sum256(seen) != sha256.Sum256([]byte(want)) {
			t.Errorf("the provider saw %s, want %s", seen, want)
		}
	}
	f(chat, `{"model":"gpt-4","x":1.0}`, `{"model":"real-gpt-4","x":1.0}`)
	f(chat, "{\n \"x\" : [1E2, -0.0, \"\\ud83d\\ude00\"] ,\"model\" :\t\"gpt-4\" }\r\n", "{\n \"x\" : [1E2, -0.0, \"\\ud83d\\ude00\"] ,\"model\" :\t\"real-gpt-4\" }\r\n")
	f(chat, `{"mod\u0065l":"gpt\u002d4","Model":"x","a":"model"}`, `{"mod\u0065l":"real-gpt-4","Model":"x","a":"model"}`)
	f("/v1/embeddings", `{"input":["a"],"model":"gpt-4"}`, `{"input":["a"],"model":"real-gpt-4"}`)
	f("/v1/rerank", `{"query":"q","model":"gpt-4"}`, `{"query":"q","model":"real-gpt-4"}`)
	long := strings.Repeat("long ", 100_000)
	f(chat, `{"messages":"`+long+`","model":"gpt-4"}`, `{"messages":"`+long+`","model":"real-gpt-4"}`)
}

// An answer too long to be kept streams through, and its usage is read all the same.
func TestLongAnswer(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	long := `{"data":["` + strings.Repeat("0123456789", 300_000) + `"],"usage":{"prompt_tokens":42,"total_tokens":42}}`
	for _, framing := range []fakeprovider.Framing{fakeprovider.ByLength, fakeprovider.Chunked, fakeprovider.UntilClose} {
		a := fakeprovider.OK(long)
		a.Framing = framing
		p.Script(a)
		got := r.post("/v1/embeddings", hello)
		if got.err != nil || !bytes.Equal(got.body, []byte(long)) {
			t.Errorf("framing %d: %d bytes of %d (%v)", framing, len(got.body), len(long), got.err)
		}
	}
	if rec := r.sink.wait(t, 3); rec.Prompt != 42 {
		t.Errorf("recorded %+v", rec)
	}
	cut := fakeprovider.OK(long)
	cut.Cut = &fakeprovider.Cut{Half: true, By: fakeprovider.FIN}
	p.Script(cut)
	if got := r.post("/v1/embeddings", hello); got.err == nil {
		t.Errorf("a cut answer of %d bytes looks whole", len(got.body))
	}
}

// Of two content types the first counts: for how the answer is read, and for what
// the client is told.
func TestFirstContentTypeCounts(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	a := fakeprovider.OK(`{"x":1}`)
	a.Header = append([]string{"Content-Type: application/json"}, append(a.Header, "Content-Type: text/event-stream")...)
	p.Script(a)
	if got := r.post(chat, hello); got.status != 200 || len(got.header["Content-Type"]) != 1 || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d, %q", got.status, got.header["Content-Type"])
	}
}

func TestRequestID(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	f := func(client, provider, want, upstream string) {
		t.Helper()
		a := fakeprovider.OK(`{}`)
		if provider != "" {
			a.Header = []string{"X-Request-Id: " + provider}
		}
		p.Script(a)
		header := []string{}
		if client != "" {
			header = append(header, "X-Request-Id: "+client)
		}
		got := r.post(chat, hello, header...)
		id := got.header.Get("X-Request-Id")
		if want != "" && id != want || len(id) < 8 {
			t.Errorf("client %q, provider %q: %q, want %q", client, provider, id, want)
		}
		if up := got.header.Get("X-Upstream-Request-Id"); up != upstream {
			t.Errorf("client %q, provider %q: upstream id %q, want %q", client, provider, up, upstream)
		}
		if sent := p.Last().Header.Get("X-Request-Id"); sent == "" || client == want && sent != client && client != "" {
			t.Errorf("client %q: the provider was sent %q", client, sent)
		}
	}
	f("", "", "", "")
	f("client-id-1", "", "client-id-1", "")
	f("", "provider-id", "provider-id", "")
	f("client-id-2", "provider-id", "client-id-2", "provider-id")
	f(strings.Repeat("x", 129), "", "", "")
}

// Of the client's headers only a few pass, of the provider's those that SDKs read.
func TestHeadersThatPass(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	a := fakeprovider.OK(`{}`)
	a.Header = []string{
		"X-Ratelimit-Limit-Requests: 7", "openai-processing-ms: 12", "Openai-Version: v", "Set-Cookie: s=1", "Server: x",
		"Connection: keep-alive", "Via: 1.1 x", "X-Internal: no",
	}
	p.Script(a)
	got := r.post(chat, hello, "OpenAI-Beta: assistants=v2", "Cookie: s=2", "X-Forwarded-For: 1.2.3.4", "OpenAI-Organization: org",
		"Idempotency-Key: k", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Accept-Encoding: br")
	for h, want := range map[string]string{"X-Ratelimit-Limit-Requests": "7", "Openai-Processing-Ms": "12", "Openai-Version": "v", "Set-Cookie": "", "Server": "", "Via": "", "X-Internal": ""} {
		if v := got.header.Get(h); v != want {
			t.Errorf("the client sees %s: %q, want %q", h, v, want)
		}
	}
	sent := p.Last().Header
	for h, want := range map[string]string{
		"Openai-Beta": "assistants=v2", "Idempotency-Key": "k", "Cookie": "", "X-Forwarded-For": "", "Openai-Organization": "",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Accept-Encoding": "identity",
		"Authorization": "Bearer " + providerKey, "Content-Type": "application/json",
	} {
		if v := sent.Get(h); v != want {
			t.Errorf("the provider sees %s: %q, want %q", h, v, want)
		}
	}
}

// A redirect is the client's to see, never followed with the provider's key.
func TestRedirectIsNotFollowed(t *testing.T) {
	p, evil := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(p))
	a := fakeprovider.Status(307, `{"error":{"message":"moved","type":"x"}}`)
	a.Header = []string{"Location: " + evil.URL() + "/chat/completions"}
	p.Script(a)
	if got := r.post(chat, hello); got.status/100 == 2 || got.header.Get("Location") != "" || evil.Count() != 0 {
		t.Errorf("%d %v; the other host was asked %d times", got.status, got.header, evil.Count())
	}
}

func TestModels(t *testing.T) {
	p := fakeprovider.Start(t, fakeprovider.Options{Models: []string{"vendor/one", "gpt-4", "two"}})
	set := serves(p, p, p)
	set.Providers[1].ModelMapping = map[string]string{"open/*": "vendor/*"}
	set.Providers[2].ModelMapping = nil
	r := start(t, set, func(_ *server.Options, b *route.Builder) { b.CutPrefix = "Proxy" })
	f := func(path string, status int, want string, header ...string) {
		t.Helper()
		got := r.get(path, header...)
		if got.status != status || !strings.Contains(string(got.body), want) {
			t.Errorf("%s: %d %s, want %d …%s…", path, got.status, got.body, status, want)
		}
	}
	model := func(id string, created int) string {
		return `{"id":"` + id + `","object":"model","created":1700000000,"owned_by":"llm-proxy"}`
	}
	f("/v1/models", 200, `{"object":"list","data":[`+model("gpt-4", 0)+","+model("gpt-5", 0)+","+model("open/one", 0)+","+model("two", 0)+","+model("vendor/one", 0)+"]}")
	f("/v1/models", 200, `{"object":"list","data":[`+model("gpt-4", 0)+","+model("open/one", 0)+"]}", "Authorization: Bearer "+restrictedKey)
	f("/v1/models", 401, "invalid_api_key", "Authorization")
	f("/v1/models/gpt-4", 200, model("gpt-4", 0))
	f("/v1/models/Proxy/gpt-4", 200, model("gpt-4", 0))
	f("/v1/models/open/one", 200, model("open/one", 0))
	f("/v1/models/open%2Fone", 200, model("open/one", 0))
	f("/v1/models/nothing", 404, "model_not_found")
	f("/v1/models/gpt-5", 404, "model_not_found", "Authorization: Bearer "+restrictedKey)
}

// Names, patterns and the prefix decide who is asked, and for what.
func TestModelMapping(t *testing.T) {
	exact, pattern, all := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(exact, pattern, all)
	set.Providers[0].ModelMapping = map[string]string{"gpt-4": "real-gpt-4"}
	set.Providers[1].ModelMapping = map[string]string{"gpt-*": "vendor/*", "gpt-4-*": "fixed"}
	set.Providers[2].ModelMapping = nil
	set.Providers[0].Priority, set.Providers[2].Priority = 9, 0
	r := start(t, set, func(_ *server.Options, b *route.Builder) { b.CutPrefix = "Proxy" })
	f := func(asked string, p *fakeprovider.Provider, want string) {
		t.Helper()
		before := p.Count()
		if got := r.post(chat, `{"model":"`+asked+`"}`); got.status != 200 {
			t.Errorf("%s: %d %s", asked, got.status, got.body)
			return
		}
		if p.Count() != before+1 {
			t.Errorf("%s: another provider was asked", asked)
			return
		}
		if m := p.Last().JSON()["model"]; m != want {
			t.Errorf("%s: asked for %v, want %s", asked, m, want)
		}
	}
	f("gpt-4", exact, "real-gpt-4")
	f("Proxy/gpt-4", exact, "real-gpt-4")
	f("gpt-5", pattern, "vendor/5")
	f("Proxy/gpt-5", pattern, "vendor/5")
	f("gpt-4-32k", pattern, "fixed")
	f("llama", all, "llama")
	f("Proxy/llama", all, "llama")
	f("Other/gpt-4", all, "Other/gpt-4")
	f("Proxy/", all, "Proxy/")
}

func TestRequestsWithoutModel(t *testing.T) {
	named, all := fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(named, all)
	set.Providers[1].ModelMapping = nil
	r := start(t, set)
	for _, path := range []string{"/v1/responses", "/v1/moderations", "/v1/images/generations"} {
		body := `{"input":"x", "more":1}`
		if got := r.post(path, body); got.status != 200 || string(all.Last().Body) != body {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got := r.post(path, body, "Authorization: Bearer "+restrictedKey); got.status != 400 {
			t.Errorf("%s with a key for some models: %d", path, got.status)
		}
	}
	if named.Count() != 0 {
		t.Error("a provider that serves only named models was asked")
	}
}

// Only a provider that is on is asked.
func TestDisabledProvider(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].Enabled = false
	r := start(t, set)
	if got := r.post(chat, hello); got.status != 404 || p.Count() != 0 {
		t.Errorf("%d, asked %d times", got.status, p.Count())
	}
}

// Requests in flight keep the configuration that they began with.
func TestReloadLeavesRequestsAlone(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	gate := make(chan struct{})
	a := fakeprovider.Events(chunk("a"), finish, doneMark)
	a.Gate = gate
	p.Script(a)
	got := make(chan answer)
	go func() { got <- r.post(chat, helloSSE) }()
	p.Next(t)
	r.source.set.Store(&config.Set{Version: 2})
	if _, err := r.live.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if g := <-got; g.status != 200 || string(g.body) != chunk("a")+finish+doneMark {
		t.Errorf("%d %s", g.status, g.body)
	}
	if g := r.post(chat, hello); g.status != 401 {
		t.Errorf("after the reload: %d", g.status)
	}
}
