//go:build !race

package server

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	purses "llmproxy/budget"
	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/openai"
	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/usage"
)

// From the head of a request to the choice of a provider nothing is allocated:
// key look-up, limits of every kind, body, parse, route, draw.
func TestNoAllocationFromAcceptToPick(t *testing.T) {
	s, e := newTestServer(t)
	r := newReplayed(chatOf("hello"))
	allocs := testing.AllocsPerRun(1000, func() {
		x := r.toPick(t, s, e)
		x.held.Settle(config.Tokens{}, 0, false, now())
		x.admitted = false // so that there is no record, which has strings
		s.settle(x, ending{outcome: usage.Refused})
		s.release(x)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a request", allocs)
	}
}

// From its answer to its end a request allocates the strings of its record: its
// id and the name of its model.
func TestSettlingAllocatesTheRecordOnly(t *testing.T) {
	s, e := newTestServer(t)
	r := newReplayed(chatOf("hello"))
	allocs := testing.AllocsPerRun(1000, func() {
		x := r.toPick(t, s, e)
		answered(x)
		s.settle(x, ending{outcome: usage.Complete})
		s.release(x)
	})
	if allocs > 2 {
		t.Errorf("%v allocations a request", allocs)
	}
}

// replayed is one request that is given to the server again and again.
type replayed struct {
	ctx    *fasthttp.RequestCtx
	body   []byte
	reader *bytes.Reader
}

func newReplayed(body string) *replayed {
	r := &replayed{&fasthttp.RequestCtx{}, []byte(body), bytes.NewReader(nil)}
	r.ctx.Request.Header.SetMethod("POST")
	r.ctx.Request.Header.Set("Authorization", "Bearer "+fixedKey)
	return r
}

// toPick takes the request as far as to the choice of its provider.
func (r *replayed) toPick(tb testing.TB, s *Server, e *endpoint) *exchange {
	r.reader.Reset(r.body)
	r.ctx.Request.SetBodyStream(r.reader, len(r.body))
	x := s.acquire(r.ctx, e)
	if err := s.admit(x); err != nil {
		tb.Fatal(err)
	}
	t, pass := x.route.Pick(rand.Uint64(), &x.tried, now())
	if t == nil {
		tb.Fatal("nobody was picked")
	}
	x.owe(t, pass)
	x.target = t
	return x
}

// answered pretends that the provider gave a whole answer.
func answered(x *exchange) {
	x.status, x.sent, x.attempts = 200, true, 1
	x.usage, x.hasUsage, x.usageEnd = openai.Usage{Prompt: 12, Completion: 34}, true, true
}

func chatOf(prompt string) string {
	return `{"messages":[{"role":"user","content":"` + prompt + `"}],"model":"gpt-4","max_tokens":256,"stream":true}`
}

const fixedKey = "sk-test-0123456789"

// fixedTable serves three weighted providers, for a key that has every limit
// there is and meets none.
func fixedTable(tb testing.TB, bases ...string) (*route.Live, *metrics.Registry) {
	tb.Helper()
	registry := metrics.New(metrics.Options{})
	money := 1_000_000 * config.OneUSD
	set := &config.Set{Version: 1, Credentials: []config.Credential{{
		ID: 1, Hash: config.HashKey(fixedKey), Name: "test", Enabled: true, AllowedModels: []string{"gpt-*"},
		RateLimit: new(int64(10_000_000)), TPMLimit: new(int64(1_000_000_000_000)), MaxConcurrency: new(int64(100)), Budget: &money,
	}}}
	for i, base := range bases {
		name := string(rune('a' + i))
		set.Providers = append(set.Providers, config.Provider{
			ID: int64(i + 1), Key: name, Type: "openai", APIBase: base, Weight: i + 1, Enabled: true,
			ModelMapping: map[string]string{"gpt-4": "real"},
		})
		set.Prices = append(set.Prices, config.Price{Model: "real", Provider: name, Input: config.OneUSD, Output: 4 * config.OneUSD})
	}
	b := &route.Builder{Metrics: registry, Buckets: ratelimit.NewBuckets(), Purses: purses.NewPurses()}
	b.Client.Timeouts.Connect, b.Client.Timeouts.FirstByte, b.Client.Timeouts.Total = time.Minute, time.Minute, time.Minute
	live := route.NewLive(b, nil, nil)
	if _, err := live.Apply(set); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(live.Close)
	return live, registry
}

// newTestServer returns a Server with a table of three providers, without a listener.
func newTestServer(tb testing.TB) (*Server, *endpoint) {
	tb.Helper()
	var bases []string
	for i := range 3 {
		bases = append(bases, "http://127.0.0.1:"+strconv.Itoa(i+1)+"/v1")
	}
	live, registry := fixedTable(tb, bases...)
	s := New(Options{MaxBodyBytes: 1 << 20}, Deps{Live: live, Metrics: registry, Sink: usage.Discard, Log: slog.New(slog.DiscardHandler)})
	return s, newEndpoints(registry)[0]
}
