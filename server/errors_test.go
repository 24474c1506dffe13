package server_test

import (
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/overload"
	"llmproxy/route"
	"llmproxy/server"
)

// Every row of the error table that the gateway itself answers: status, code,
// and that the provider is not bothered.
func TestErrorsOfTheGateway(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	f := func(path, body string, status int, code string, header ...string) {
		t.Helper()
		a := r.post(path, body, header...)
		if got := a.code(t); a.status != status || got != code {
			t.Errorf("%s %.60q %q: %d %q, want %d %q", path, body, header, a.status, got, status, code)
		}
	}

	// No good key.
	for _, auth := range []string{
		"", "Bearer", "Bearer ", "Bearer wrong", "bearer" + clientKey, "Basic " + clientKey, clientKey, "Bearer  " + clientKey,
		"Bearer " + clientKey + " ", "Bearer " + clientKey + ",x", "Bearer " + clientKey[:10], "Bearer " + disabledKey,
		"Bearer null", "Bearer undefined", "Bearer ' OR 1=1 --", "Token " + clientKey, "Bearer\t" + clientKey, "Bearer %s%s%n",
		"Bearer " + strings.Repeat("a", 8000), "Bearer " + config.HashKey(clientKey), "Bearer ключ", "Bearer \"" + clientKey + "\"",
	} {
		if auth == "Bearer "+clientKey+" " {
			continue // net/http trims it to the right key
		}
		f(chat, hello, 401, "invalid_api_key", "Authorization: "+auth)
	}
	f(chat, hello, 401, "invalid_api_key", "Authorization: Basic x", "Api-Key: "+clientKey)

	// Bodies that are not what they should be.
	for body, code := range map[string]string{
		"": "", "x": "", "[]": "", "null": "", `"a"`: "", `{`: "", `{"model":"gpt-4"`: "", `{"model":"gpt-4"}x`: "",
		`{"model":1}`: "", `{"model":null}`: "", `{"model":""}`: "", `{"model":"gpt-4","model":"gpt-4"}`: "",
		`{"model":"gpt-4","mod\u0065l":"gpt-5"}`: "", `{}`: "", `{"Model":"gpt-4"}`: "",
		`{"model":"gpt-4","stream":"yes"}`: "", `{"model":"gpt-4","stream_options":1}`: "",
		`{"model":"gpt-4","messages":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`: "",
		"\ufeff" + `{"model":"gpt-4"}`: "",
	} {
		a := r.post(chat, body)
		if a.status != 400 {
			t.Errorf("%.60q: %d %s, want 400", body, a.status, a.body)
		}
		_ = a.code(t)
		_ = code
	}
	f(chat, hello, 415, "", "Content-Encoding: gzip")
	f(chat, `{"model":"gpt-4","x":"`+strings.Repeat("x", 1<<20)+`"}`, 413, "request_too_large")

	// Models.
	f(chat, `{"model":"gpt-6"}`, 404, "model_not_found")
	f(chat, `{"model":"gpt-5"}`, 403, "model_not_allowed", "Authorization: Bearer "+restrictedKey)
	f(chat, `{"model":"nobody's"}`, 403, "model_not_allowed", "Authorization: Bearer "+restrictedKey)
	f(chat, `{"model":"open/anything"}`, 404, "model_not_found", "Authorization: Bearer "+restrictedKey)
	f("/v1/responses", `{"input":"x"}`, 400, "")

	if n := p.Count(); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	if n := r.metric("llm_proxy_requests_total", `status_code="401"`, `api_key_name="none"`); n != 22 {
		t.Errorf("401s counted: %v", n)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	if a := r.get("/v1/nothing"); a.status != 404 || a.code(t) != "" && a.code(t) != "not_found" {
		t.Errorf("unknown path: %d %s", a.status, a.body)
	}
	a := r.get(chat)
	if a.status != 405 || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("wrong method: %d allow=%q %s", a.status, a.header.Get("Allow"), a.body)
	}
	_ = a.code(t)
	for _, path := range []string{"/v1/../admin/v1/providers", "//v1/models", "/V1/models", "/v1/models/", "/v1%2fmodels"} {
		if a := r.get(path); a.status >= 500 || a.status/100 == 3 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestKeyIsTakenFromThreePlaces(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	for _, header := range []string{
		"Authorization: Bearer " + clientKey, "Authorization: bEaReR " + clientKey, "Api-Key: " + clientKey, "X-Api-Key: " + clientKey,
	} {
		if a := r.post(chat, hello, "Authorization", header); a.status != 200 {
			t.Errorf("%s: %d %s", header, a.status, a.body)
		}
	}
}

func TestRateLimit(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	auth := "Authorization: Bearer " + limitedKey
	var refused answer
	for range 5 {
		if a := r.post(chat, hello, auth); a.status == 429 {
			refused = a
			break
		}
	}
	if refused.status != 429 || refused.code(t) != "rate_limit_exceeded" {
		t.Fatalf("one a second: never refused; last %d %s", refused.status, refused.body)
	}
	for _, h := range []string{"Retry-After", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"} {
		if refused.header.Get(h) == "" {
			t.Errorf("429 without %s: %v", h, refused.header)
		}
	}
	if n := r.metric("llm_proxy_rate_limited_total", `api_key_name="limited"`); n < 1 {
		t.Errorf("limited requests counted: %v", n)
	}
	if a := r.post(chat, hello); a.status != 200 {
		t.Errorf("another key: %d", a.status)
	}
}

// Without any credential nobody comes in, unless the operator says so.
func TestNoCredentialAtAll(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Credentials = nil
	closed := start(t, set)
	if a := closed.post(chat, hello, "Authorization"); a.status != 401 {
		t.Errorf("without a key: %d", a.status)
	}
	open := start(t, set, func(_ *server.Options, b *route.Builder) { b.AllowAnonymous = true })
	for _, auth := range []string{"Authorization", "Authorization: Bearer anything"} {
		if a := open.post(chat, hello, auth); a.status != 200 {
			t.Errorf("ALLOW_ANONYMOUS, %q: %d %s", auth, a.status, a.body)
		}
	}
}

func TestOverload(t *testing.T) {
	p := fakeprovider.Start(t)
	hold := make(chan struct{})
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.OpenAI(q)
		a.Hold = hold
		return a
	})
	limiter := overload.New(overload.Options{MaxConcurrent: 1, MaxQueued: 1, QueueTimeout: 50 * time.Millisecond})
	defer limiter.Close()
	r := start(t, serves(p), func(o *server.Options, _ *route.Builder) { o.Limiter = limiter })
	first := make(chan answer)
	go func() { first <- r.post(chat, hello) }()
	p.Next(t)
	a := r.post(chat, hello) // after its wait in the queue
	if a.status != 503 || a.code(t) != "overloaded" || a.header.Get("Retry-After") == "" {
		t.Errorf("a second request: %d %s", a.status, a.body)
	}
	close(hold)
	if a := <-first; a.status != 200 {
		t.Errorf("the first request: %d %s", a.status, a.body)
	}
}

// A refused request knows nothing of the one before it on the same connection.
func TestRefusalForgetsTheRequestBefore(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	for range 20 {
		r.post(chat, hello)
		r.post(chat, hello, "Authorization: Bearer wrong")
	}
	if n := r.metric("llm_proxy_requests_total", `status_code="401"`, `model="none"`); n != 20 {
		t.Errorf("%v of 20 refused requests are counted without a model", n)
	}
}
