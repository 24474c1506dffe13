//go:build !race

package server

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
	"llmproxy/route"
)

// From the head of a request to the choice of a provider nothing is allocated:
// key look-up, limit, body, parse, route, draw.
func TestNoAllocationFromAcceptToPick(t *testing.T) {
	s, e := newTestServer(t)
	const key = "sk-test-0123456789"
	body := []byte(`{"messages":[{"role":"user","content":"hello"}],"model":"gpt-4","stream":true}`)
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.Header.Set("Authorization", "Bearer "+key)
	reader := bytes.NewReader(nil)
	allocs := testing.AllocsPerRun(1000, func() {
		reader.Reset(body)
		ctx.Request.SetBodyStream(reader, len(body))
		x := s.acquire(ctx, e)
		if err := s.admit(x); err != nil {
			t.Fatal(err)
		}
		picked, pass := x.route.Pick(rand.Uint64(), &x.tried, now())
		if picked == nil {
			t.Fatal("nobody was picked")
		}
		picked.Breaker.Abandoned(pass, now())
		s.release(x)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a request", allocs)
	}
}

// newTestServer returns a Server with a table of three providers, without a listener.
func newTestServer(tb testing.TB) (*Server, *endpoint) {
	tb.Helper()
	registry := metrics.New(metrics.Options{})
	limit := int64(10_000_000)
	set := &config.Set{Version: 1, Credentials: []config.Credential{{
		ID: 1, Hash: config.HashKey("sk-test-0123456789"), Name: "test", Enabled: true, RateLimit: &limit, AllowedModels: []string{"gpt-*"},
	}}}
	for i, name := range []string{"a", "b", "c"} {
		set.Providers = append(set.Providers, config.Provider{
			ID: int64(i + 1), Key: name, Type: "openai", APIBase: "http://127.0.0.1:1/v1", Weight: i + 1, Enabled: true,
			ModelMapping: map[string]string{"gpt-4": "real"},
		})
	}
	b := &route.Builder{Metrics: registry, Buckets: ratelimit.NewBuckets()}
	live := route.NewLive(b, nil, nil)
	if _, err := live.Apply(set); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for _, p := range live.Table().Providers {
			p.Client.Close()
		}
	})
	s := New(Options{MaxBodyBytes: 1 << 20}, Deps{Live: live, Metrics: registry, Log: slog.New(slog.DiscardHandler)})
	return s, newEndpoints(registry)[0]
}
