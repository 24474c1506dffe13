package main

import (
	"net/http"
	"strings"
	"testing"

	"llmproxy/internal/fakecollector"
	"llmproxy/internal/fakeprovider"
)

// What waits for the collector when the gateway is told to end is sent before it
// does: the SDK alone would wait for five seconds.
func TestSpansAreSentAtTheEnd(t *testing.T) {
	c := fakecollector.Start(t)
	g := startTraced(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_SERVICE_NAME": "gateway-7"})
	g.stopAndWait(t)
	spans := c.Spans()
	about, _ := c.Last()
	if len(spans) != 2 || about["service.name"] != "gateway-7" {
		t.Errorf("%+v of %v", spans, about)
	}
}

// A collector that takes nothing holds up neither requests nor, for longer than
// the grace, the end.
func TestTheEndDoesNotWaitForACollectorThatHangs(t *testing.T) {
	c := fakecollector.Start(t)
	gate := make(chan struct{})
	defer close(gate)
	c.Hold(gate)
	g := startTraced(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "SHUTDOWN_GRACE_SECS": "1"})
	for _, result := range []string{"exported", "failed", "dropped"} {
		if n := g.metric(t, `llm_proxy_trace_spans_total{result="`+result+`"}`); n != 0 {
			t.Errorf("%d spans %s", n, result)
		}
	}
	g.stopAndWait(t)
	if !strings.Contains(g.out.String(), "traces were left behind") {
		t.Errorf("nothing is said of the spans:\n%s", &g.out)
	}
}

// startTraced is startInProcess, and one request that was answered.
func startTraced(t *testing.T, env map[string]string) *inProcess {
	t.Helper()
	p := fakeprovider.Start(t)
	g := startInProcess(t, env)
	if status, answer := g.admin(t, "POST", "/providers", map[string]any{"provider_key": "p", "provider_type": "openai", "api_base": p.URL(), "api_key": "k"}); status != 201 {
		t.Fatalf("%d %v", status, answer)
	}
	if status, answer := g.admin(t, "POST", "/credentials", map[string]any{"name": "tests", "key": "sk-of-the-tests"}); status != 201 {
		t.Fatalf("%d %v", status, answer)
	}
	q, err := http.NewRequestWithContext(t.Context(), "POST", g.url+"/v1/chat/completions", strings.NewReader(`{"model":"fake-model","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer sk-of-the-tests")
	resp, err := g.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return g
}
