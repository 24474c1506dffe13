package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/internal/fakeprovider"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/tokens"
	"llmproxy/tracing"
	"llmproxy/upstream"
	"llmproxy/usage"
)

// R55: no goroutine is left when all tests are over.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock, and its pool's cleaner that naps up to 10 s after Serve has returned.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// The canaries must never be seen in a log, a metric or an answer; every rig
// looks for them in its own when its test ends.
const (
	clientKey      = "sk-canary-client-0123456789"
	providerKey    = "sk-canary-provider-0123456789"
	promptCanary   = "canary-prompt-text"
	answerCanary   = "canary-answer-text"
	anotherKey     = "sk-canary-another-0123456789"
	limitedKey     = "sk-canary-limited-0123456789"
	disabledKey    = "sk-canary-disabled-0123456789"
	restrictedKey  = "sk-canary-restricted-0123456789"
	restrictedName = "restricted"
)

// rig is a gateway's data plane on a real socket, with fake providers.
type rig struct {
	t       *testing.T
	url     string
	address string
	source  *source
	live    *route.Live
	metrics *metrics.Registry
	sink    *sink
	ledger  *ledger
	server  *server.Server
	log     *syncBuffer
}

// start runs a data plane that serves the set until the test ends.
func start(t *testing.T, set *config.Set, change ...func(*server.Options, *route.Builder)) *rig {
	t.Helper()
	return startTraced(t, set, nil, change...)
}

func startTraced(t *testing.T, set *config.Set, tracer *tracing.Tracer, change ...func(*server.Options, *route.Builder)) *rig {
	t.Helper()
	o := server.Options{
		MaxBodyBytes: 1 << 20, MaxHeaderBytes: 16 << 10, MaxAnswerBytes: 256 << 10, MaxEventBytes: 2 << 20, MaxAttempts: 3, RetryBudget: 20,
		ReadTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second,
	}
	registry := metrics.New(metrics.Options{Version: "test"})
	b := &route.Builder{
		Metrics: registry, Buckets: ratelimit.NewBuckets(),
		Client: upstream.Settings{Timeouts: upstream.Timeouts{
			Connect: 2 * time.Second, Write: 5 * time.Second, FirstByte: 5 * time.Second, Idle: 5 * time.Second, Total: 20 * time.Second,
		}},
	}
	for _, c := range change {
		c(&o, b)
	}
	r := &rig{t: t, source: &source{}, metrics: registry, sink: &sink{}, ledger: &ledger{}, log: &syncBuffer{}}
	r.source.set.Store(set)
	r.live = route.NewLive(b, r.source, nil)
	if set != nil {
		if _, err := r.live.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	watcher, err := downstream.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	pool := tokens.NewPool(tokens.Options{Workers: 1})
	r.server = server.New(o, server.Deps{
		Live: r.live, Metrics: registry, Tokens: pool, Sink: r.sink, Watcher: watcher,
		Health: staticHealth{}, Usage: r.ledger, IsAdmin: func(key []byte) bool { return string(key) == "admin" }, Tracer: tracer,
		Log: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = inner.Addr().String()
	r.url = "http://" + r.address
	served := make(chan error, 1)
	go func() {
		served <- r.server.Serve(downstream.NewListener(inner, downstream.Options{WriteTimeout: 5 * time.Second}))
	}()
	r.get("/health")
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		r.shutdown(100 * time.Millisecond)
		<-served
		pool.Close(context.Background())
		_ = watcher.Close()
		for _, p := range r.live.Table().Providers {
			p.Client.Close()
		}
		r.lookForCanaries()
	})
	return r
}

// target returns the n-th target of gpt-4, best tier first.
func (r *rig) target(n int) *route.Target {
	for t := range r.live.Table().Route([]byte("gpt-4")).Targets {
		if n--; n < 0 {
			return t
		}
	}
	r.t.Fatal("there are not so many targets")
	return nil
}

// shutdown drains the data plane.
func (r *rig) shutdown(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = r.server.Shutdown(ctx)
}

func (r *rig) lookForCanaries() {
	r.t.Helper()
	var page bytes.Buffer
	_, _ = r.metrics.WriteTo(&page)
	for where, text := range map[string]string{"log": r.log.String(), "metrics": page.String()} {
		if strings.Contains(text, "canary") {
			at := strings.Index(text, "canary")
			r.t.Errorf("the %s shows a secret: …%s…", where, text[max(0, at-80):min(len(text), at+80)])
		}
	}
}

// source is a configuration in memory.
type source struct {
	set     atomic.Pointer[config.Set]
	version atomic.Int64
}

func (s *source) Load(context.Context) (*config.Set, error) {
	set := *s.set.Load()
	set.Version = max(set.Version, s.version.Load())
	return &set, nil
}

func (s *source) Version(context.Context) (int64, time.Time, error) {
	return s.version.Load(), time.Now(), nil
}

// sink keeps the records.
type sink struct {
	mu      sync.Mutex
	records []usage.Record
}

func (s *sink) Record(r usage.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
}

func (s *sink) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

func (s *sink) all() []usage.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]usage.Record(nil), s.records...)
}

// wait waits for the n-th record.
func (s *sink) wait(t *testing.T, n int) usage.Record {
	t.Helper()
	var got usage.Record
	eventually(t, "a usage record", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.records) >= n {
			got = s.records[n-1]
		}
		return len(s.records) >= n
	})
	return got
}

// eventually waits until cond holds, for at most five seconds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type staticHealth struct{}

func (staticHealth) Detailed(context.Context) []byte { return []byte(`{"status":"healthy"}`) }

// credential declares a client key that may do everything.
func credential(id int64, key, name string) config.Credential {
	return config.Credential{ID: id, Hash: config.HashKey(key), Preview: config.Preview(key), Name: name, Enabled: true}
}

// serves declares providers, in order of priority, that all serve the same models.
func serves(providers ...*fakeprovider.Provider) *config.Set {
	set := &config.Set{Version: 1}
	for i, p := range providers {
		set.Providers = append(set.Providers, provider(int64(i+1), string(rune('a'+i)), p.URL()))
		set.Providers[i].Priority = i
	}
	limit, off := int64(1), credential(4, disabledKey, "disabled")
	limited := credential(3, limitedKey, "limited")
	limited.RateLimit = &limit
	off.Enabled = false
	restricted := credential(5, restrictedKey, restrictedName)
	restricted.AllowedModels = []string{"gpt-4", "open/*"}
	set.Credentials = []config.Credential{
		credential(1, clientKey, "tester"), credential(2, anotherKey, "another"), limited, off, restricted,
	}
	return set
}

func provider(id int64, name, base string) config.Provider {
	return config.Provider{
		ID: id, Key: name, Type: "openai", APIBase: base, APIKey: providerKey, Weight: 1, Enabled: true,
		ModelMapping: map[string]string{"gpt-4": "real-gpt-4", "gpt-5": "gpt-5"},
		CreatedAt:    time.Unix(1700000000, 0),
	}
}

// answer is what a client saw.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // while reading the body
}

// code returns the error's code, and checks that the error has OpenAI's shape.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var e struct {
		Error struct {
			Message *string          `json:"message"`
			Type    *string          `json:"type"`
			Param   *json.RawMessage `json:"param"`
			Code    *string          `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil || e.Error.Message == nil || e.Error.Type == nil {
		t.Fatalf("not an error in OpenAI's shape: %d %s (%v)", a.status, a.body, err)
	}
	if e.Error.Code == nil {
		return ""
	}
	return *e.Error.Code
}

func (r *rig) do(req *http.Request) answer {
	r.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	if id := a.header.Values("X-Request-Id"); len(id) != 1 || id[0] == "" {
		r.t.Errorf("%s %s: x-request-id = %q", req.Method, req.URL.Path, id)
	}
	for _, secret := range []string{clientKey, providerKey} {
		if bytes.Contains(a.body, []byte(secret)) {
			r.t.Errorf("%s %s: the answer shows a key: %s", req.Method, req.URL.Path, a.body)
		}
	}
	return a
}

func (r *rig) get(path string, header ...string) answer {
	r.t.Helper()
	return r.do(r.request("GET", path, "", header...))
}

// post sends the body with the tester's key unless header says otherwise.
func (r *rig) post(path, body string, header ...string) answer {
	r.t.Helper()
	return r.do(r.request("POST", path, body, header...))
}

func (r *rig) request(method, path, body string, header ...string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+clientKey)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Del(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	return req
}

const (
	chat      = "/v1/chat/completions"
	hello     = `{"model":"gpt-4","messages":[{"role":"user","content":"` + promptCanary + `"}]}`
	helloSSE  = `{"model":"gpt-4","stream":true,"messages":[{"role":"user","content":"` + promptCanary + `"}]}`
	helloFive = `{"model":"gpt-5","messages":[]}`
)

// metric returns the sum of the samples whose line contains all parts.
func (r *rig) metric(parts ...string) float64 {
	r.t.Helper()
	var page bytes.Buffer
	_, _ = r.metrics.WriteTo(&page)
	var sum float64
lines:
	for line := range strings.Lines(page.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue lines
			}
		}
		var v float64
		if err := json.Unmarshal([]byte(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):])), &v); err == nil {
			sum += v
		}
	}
	return sum
}
