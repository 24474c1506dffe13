package deploy

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// scene is a gateway with providers of every character, and keys that run
// into every limit: what the dashboards are to show.
type scene struct {
	*gatewaytest.Gateway
	thrifty, limited, metered string // keys
	removable                 int64  // the id of a provider that may go
	key                       int64  // and of a key
	budgeted                  int64  // the id of the thrifty key
}

// characters are the providers of a scene: each serves the model of its name.
var characters = map[string]string{
	"honest":    "gap=5ms",
	"limping":   "status=503", // and "honest" serves its model too
	"cutting":   "cut=2 by=rst gap=5ms",
	"babbling":  "bad-event=2 gap=5ms",
	"long":      "gap=100ms text=a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t",
	"narrow":    "delay=500ms",
	"refusing":  "status=401",
	"silent":    "no-usage gap=5ms", // of tokens
	"removable": "",
}

// newScene starts the gateway. Nothing has been asked yet.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{Gateway: gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{
		"MAX_BODY_BYTES": "64KiB", "QUEUE_TIMEOUT_MS": "50", "CONFIG_POLL_SECS": "1",
	}})}
	for name, line := range characters {
		handler, err := fakeprovider.ParseScript(line)
		if err != nil {
			t.Fatal(err)
		}
		fake := fakeprovider.Start(t)
		fake.Handle(handler)
		models := map[string]any{name: name}
		fields := map[string]any{"provider_key": name, "api_base": fake.URL(), "model_mapping": models}
		switch name {
		case "honest":
			models["limping"] = "limping"
			models["cutting"] = "cutting"
			fields["priority"] = 1
		case "narrow":
			fields["provider_params"] = map[string]any{"max_concurrency": 1}
		}
		id := s.AddProvider(t, fields)
		if name == "removable" {
			s.removable = id
		}
	}
	s.Admin(t, http.MethodPost, "/prices/import", map[string]any{"prices": []any{
		map[string]any{"model": "honest", "input": 1000, "output": 2000, "source": "a test", "as_of": "2026-01-31"},
		map[string]any{"model": "steady", "input": 1, "output": 2, "source": "a test", "as_of": "2026-01-31"},
	}}, http.StatusOK)
	s.thrifty, s.budgeted = s.AddCredential(t, map[string]any{"name": "thrifty", "budget_usd": 0.06, "budget_period": "total"})
	s.limited, _ = s.AddCredential(t, map[string]any{"name": "limited", "rate_limit": 1})
	s.metered, s.key = s.AddCredential(t, map[string]any{"name": "metered", "tpm_limit": 1})
	s.Key(t)
	return s
}

// chat asks for a completion; more are further fields of the request.
func (s *scene) chat(t *testing.T, key, model string, more ...string) {
	t.Helper()
	body := fmt.Sprintf(`{"model":%q,%s"messages":[{"role":"user","content":"Hello!"}]}`, model, strings.Join(more, ""))
	s.Post(t, "/v1/chat/completions", key, body)
}

const stream = `"stream":true,`

// round lets everything happen that the dashboards have a panel for. A counter
// that appears has no rate before it has risen: it takes two rounds, with a
// scrape between them. The name is that of a key that comes with it.
func (s *scene) round(t *testing.T, name string) {
	t.Helper()
	const counted = `llm_proxy_token_jobs_total{result="counted"}` // later, by another goroutine
	key, before := s.Key(t), s.Metric(t, counted)
	for range 7 { // more than BREAKER_CONSECUTIVE
		s.chat(t, key, "limping")
	}
	for range 20 { // one request in five ends in a 502
		s.chat(t, key, "refusing")
	}
	s.chat(t, key, "honest")
	s.chat(t, key, "removable")
	s.chat(t, key, "nobody declared this")
	for _, model := range []string{"honest", "cutting", "babbling", "silent", "refusing"} {
		s.chat(t, key, model, stream)
	}
	for range 4 {
		s.chat(t, s.thrifty, "honest", `"max_tokens":7,`)
		s.chat(t, s.limited, "honest")
		s.chat(t, s.metered, "honest")
	}
	s.Post(t, "/v1/chat/completions", key, `{"model":"honest","messages":"`+strings.Repeat("x", 70<<10)+`"}`)
	s.Get(t, "/admin/v1/providers", "not the admin key")
	s.Admin(t, http.MethodPost, "/config/reload", nil, http.StatusOK)
	s.AddCredential(t, map[string]any{"name": name}) // another version of the configuration
	s.splice(t)
	s.leave(t)
	s.crowd(t)
	s.awaitMore(t, counted, before)
}

// awaitMore waits until a counter has risen.
func (s *scene) awaitMore(t *testing.T, series string, before float64) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(waitLimit); s.Metric(t, series) <= before; {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s stays at %v", series, before)
		}
	}
}

// send begins a request with a header of its own; the caller closes the body.
func (s *scene) send(ctx context.Context, t *testing.T, body, header, value string) (*http.Response, error) {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/chat/completions", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.Key(t))
	q.Header.Set(header, value)
	return http.DefaultClient.Do(q)
}

// splice asks for a stream that breaks off and is gone on with.
func (s *scene) splice(t *testing.T) {
	t.Helper()
	resp, err := s.send(t.Context(), t, `{"model":"cutting","stream":true,"messages":[{"role":"user","content":"Hello!"}]}`, "x-llm-proxy-recovery", "splice")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // how it ends is the gateway's tests' to judge
}

// leave hears the first words of a stream and goes.
func (s *scene) leave(t *testing.T) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	resp, err := s.send(ctx, t, `{"model":"long","stream":true,"messages":[{"role":"user","content":"Hello!"}]}`, "Accept", "text/event-stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// crowd comes three at a time to a provider that takes one.
func (s *scene) crowd(t *testing.T) {
	t.Helper()
	var crowd sync.WaitGroup
	s.Key(t)
	for range 3 {
		crowd.Go(func() {
			resp, err := s.send(t.Context(), t, `{"model":"narrow","messages":[{"role":"user","content":"Hello!"}]}`, "Accept", "application/json")
			if err != nil {
				t.Errorf("narrow: %v", err)
				return
			}
			resp.Body.Close()
		})
	}
	crowd.Wait()
}

// tighten leaves the thrifty key a budget that it has nearly spent.
func (s *scene) tighten(t *testing.T) {
	t.Helper()
	spent := s.Metric(t, `llm_proxy_budget_spent_usd{api_key_name="thrifty"}`)
	if spent == 0 {
		t.Fatal("the thrifty key has spent nothing")
	}
	s.Admin(t, http.MethodPatch, fmt.Sprintf("/credentials/%d", s.budgeted), map[string]any{"budget_usd": math.Ceil(spent*1e6/0.95) / 1e6}, http.StatusOK)
}

// spoil writes a provider into the store by hand that does not validate: the
// gateway cannot take the configuration from now on.
func (s *scene) spoil(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, "llm-proxy.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE providers SET api_base = 'no address' WHERE provider_key = 'removable'`); err != nil {
		t.Fatal(err)
	}
}
