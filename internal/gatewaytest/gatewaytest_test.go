package gatewaytest

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"llmproxy/internal/fakeprovider"
)

func TestMain(m *testing.M) { os.Exit(Run(m)) }

func TestGatewayFromStartToStop(t *testing.T) {
	fake := fakeprovider.Start(t)
	g := Start(t)
	g.AddProvider(t, map[string]any{"provider_key": "fake", "api_base": fake.URL(), "model_mapping": map[string]any{"public": "fake-model"}})
	prompt := NewCanary("prompt")
	g.Canary(prompt)
	status, answer := g.Post(t, "/v1/chat/completions", g.Key(t), `{"model":"public","messages":[{"role":"user","content":"`+prompt+`"}]}`)
	if status != http.StatusOK || !strings.Contains(answer, "Hello from the fake provider.") {
		t.Fatalf("got %d %s", status, answer)
	}
	seen := fake.Next(t)
	if want := `{"model":"fake-model","messages":[{"role":"user","content":"` + prompt + `"}]}`; string(seen.Body) != want {
		t.Errorf("the provider saw %s, want %s", seen.Body, want)
	}
	if !strings.HasPrefix(seen.Key(), "canary-provider-") {
		t.Errorf("the provider saw the key %q", seen.Key())
	}
	for _, series := range []string{"llm_proxy_requests_total", `llm_proxy_requests_total{provider="fake",status_code="200"}`} {
		g.AwaitMetric(t, series, 1)
	}
	if code := g.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestCanariesAreFound(t *testing.T) {
	secret := NewCanary("x")
	g := &Gateway{}
	g.Canary(secret)
	f := func(text string, errors int) {
		t.Helper()
		probe := &recorder{TB: t}
		g.checkSecrets(probe, "the output", text)
		if probe.errors != errors {
			t.Errorf("%q: %d errors, want %d", text, probe.errors, errors)
		}
	}
	f("nothing of it", 0)
	f(secret, 1)
	f("a long line "+strings.Repeat(".", 500)+secret+strings.Repeat(".", 500), 1)
	f(secret[:len(secret)-1], 0)
}

func TestMatches(t *testing.T) {
	f := func(sample, name, labels string, want bool) {
		t.Helper()
		if got := matches(sample, name, labels); got != want {
			t.Errorf("%s: %s with %q: got %v", sample, name, labels, got)
		}
	}
	f(`a`, "a", "", true)
	f(`a_b`, "a", "", false)
	f(`a{x="1",y="2"`, "a", "", true)
	f(`a{x="1",y="2"`, "a", `x="1"`, true)
	f(`a{x="1",y="2"`, "a", `y="2",x="1"`, true)
	f(`a{x="1",y="2"`, "a", `y="1"`, false)
	f(`a{xx="1"`, "a", `x="1"`, false)
}

// recorder counts errors instead of failing its test.
type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }
