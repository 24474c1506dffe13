package server_test

import (
	"fmt"
	"strings"
	"testing"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// S04: what another's request left at a provider (answers, files, threads,
// batches) is not reached through the gateway's key: only what is listed is
// forwarded, and a model that the key may not use is one that does not exist.
func TestNothingOfOthersIsForwarded(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].ModelMapping = nil
	r := start(t, set)
	for _, path := range []string{
		"/v1/responses/resp_other", "/v1/responses/resp_other/input_items", "/v1/responses/resp_other/cancel", "/v1/chat/completions/chatcmpl-other", "/v1/files", "/v1/files/file-other/content",
		"/v1/threads/thread_other/messages", "/v1/batches/batch_other", "/v1/assistants", "/v1/vector_stores", "/v1/fine_tuning/jobs", "/v1/uploads/x", "/v1/conversations/conv_other",
		"/v1/images/edits", "/v1/audio/transcriptions", "/v1/videos/video_other/content", "/v1/realtime", "/v1/proxy/models", "/v1/organization/users", "/v1/credentials/1", "/v1/keys", "/v1/usage/1",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			if got := r.do(r.request(method, path, `{"model":"gpt-4"}`)); got.status != 404 && got.status != 405 {
				t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
			}
		}
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times, last for %s", p.Count(), p.Last().Target)
	}
}

// S25: with METRICS_KEY the metrics are for those who know it, and no other key
// is taken for it; it opens nothing else.
func TestMetricsKeyOpensMetricsAlone(t *testing.T) {
	const key = "canary-metrics-0123456789"
	p := fakeprovider.Start(t)
	r := start(t, serves(p), func(o *server.Options, _ *route.Builder) { o.MetricsKey = key })
	for _, line := range []string{
		"Authorization", "Authorization: Bearer " + clientKey, "Authorization: Bearer admin", "Authorization: Bearer " + key + "x", "Authorization: Bearer " + key[1:],
		"Authorization: Basic " + key, "Authorization: Bearer " + config.HashKey(key), "Authorization: Bearer " + config.Preview(key),
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if got := r.do(r.request(method, "/metrics?key="+key, "", line)); got.status != 401 || strings.Contains(string(got.body), "llm_proxy_") {
				t.Errorf("%s /metrics with %s: %d", method, line, got.status)
			}
		}
	}
	auth := "Authorization: Bearer " + key
	if got := r.get("/metrics", auth); got.status != 200 || !strings.Contains(string(got.body), "llm_proxy_") {
		t.Errorf("with the key: %d", got.status)
	}
	for _, path := range []string{"/v1/models", "/health/detailed"} {
		if got := r.get(path, auth); got.status != 401 {
			t.Errorf("%s with the key of the metrics: %d", path, got.status)
		}
	}
	if got := r.post(chat, hello, auth); got.status != 401 || p.Count() != 0 {
		t.Errorf("a request with the key of the metrics: %d", got.status)
	}
}

// S33: a page with data is in no cache, and no browser takes it for a page of
// another kind.
func TestPagesWithDataAreNotKept(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	for _, path := range []string{"/v1/models", "/v1/models/gpt-4", "/health", "/health/live", "/health/ready", "/health/detailed", "/metrics"} {
		got := r.get(path)
		if got.status != 200 || got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
	}
}

// S31: where no key is asked for, a page of another origin cannot spend the
// operator's money by its visitor's browser, on the visitor's own machine
// least of all. Programs, and pages of the gateway's own origin, are served.
func TestOtherOriginsNeedAKey(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	closed := start(t, serves(p))
	set.Credentials = nil
	open := start(t, set, func(_ *server.Options, b *route.Builder) { b.AllowAnonymous = true })
	evil := [][]string{
		{"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: same-site"},
		{"Sec-Fetch-Site: cross-site", "Origin: null"},
		{"Sec-Fetch-Site: x"},
		{"Origin: https://evil.example"},
		{"Origin: null"},
		{"Origin: http://127.0.0.1"},
		{"Origin: http://" + open.address + ".evil.example"},
		{"Origin: " + open.address},
	}
	good := [][]string{
		{}, {"Sec-Fetch-Site: same-origin"}, {"Sec-Fetch-Site: none"}, {"Origin: " + open.url}, {"Sec-Fetch-Site: same-origin", "Origin: http://in-front.example"},
	}
	ask := func(r *rig, lines []string) []answer {
		kind := append([]string{"Authorization: Bearer " + clientKey, "Content-Type: text/plain"}, lines...)
		return []answer{r.post(chat, hello, kind...), r.post("/v1/embeddings", hello, kind...), r.get("/v1/models", kind...), r.get("/health/detailed", kind...)}
	}
	f := func(r *rig, lines []string, want int) {
		t.Helper()
		for i, got := range ask(r, lines) {
			if got.status != want || want == 403 && got.code(t) != "cross_origin" {
				t.Errorf("request %d with %q: %d %s, want %d", i, lines, got.status, got.body, want)
			}
		}
	}
	for _, lines := range evil {
		f(open, lines, 403)
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
	for _, lines := range good {
		f(open, lines, 200)
	}
	for _, lines := range append(evil, good...) {
		f(closed, lines, 200) // a key is the proof that it is meant
	}
}

// S31: a client's browser is told to remember nothing.
func TestNoCookies(t *testing.T) {
	p := fakeprovider.Start(t)
	a := fakeprovider.OK(`{"choices":[]}`)
	a.Header = []string{"Set-Cookie: provider=1", "Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true", "Clear-Site-Data: *", "Refresh: 0;url=http://evil.example"}
	p.Handle(always(a))
	r := start(t, serves(p))
	for i, got := range []answer{r.post(chat, hello), r.post(chat, hello, "Authorization"), r.get("/v1/models"), r.get("/health"), r.get("/nothing")} {
		for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Clear-Site-Data", "Refresh"} {
			if v := got.header.Get(name); v != "" {
				t.Errorf("answer %d: %s: %s", i, name, v)
			}
		}
	}
	if seen := fmt.Sprint(p.Last().Lines); strings.Contains(seen, "Cookie") {
		t.Errorf("the provider was sent %s", seen)
	}
}
