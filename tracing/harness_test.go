package tracing

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llmproxy/config"
	"llmproxy/internal/fakecollector"
)

func TestMain(m *testing.M) {
	os.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // the SDK's own setting, of five seconds
	goleak.VerifyTestMain(m)
}

// to are the settings that send everything to the collector.
func to(c *fakecollector.Collector, change ...func(*config.Tracing)) config.Tracing {
	o := config.Tracing{
		Endpoint: c.URL, Protocol: "http/protobuf", Exporter: "otlp", ServiceName: "llm-proxy",
		SamplerName: "parentbased_always_on", SamplerArg: "1", QueueSize: 2048,
	}
	for _, f := range change {
		f(&o)
	}
	return o
}

// open returns a Tracer that is closed when the test ends, and its log.
func open(t *testing.T, o config.Tracing) (*Tracer, *logged) {
	t.Helper()
	log := &logged{}
	tr, err := Open(o, "1.2.3", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWithin(tr, 0) })
	return tr, log
}

func closeWithin(tr *Tracer, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return tr.Close(ctx)
}

// logged is what was logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until cond holds, for at most ten seconds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// ended hands a request with one attempt over, and returns whether it was sampled.
func ended(tr *Tracer, traceparent string) bool {
	x := tr.Begin([]byte(traceparent))
	if x == nil {
		return false
	}
	now := time.Now()
	x.AppendHeader(nil)
	x.Sent(Attempt{Provider: "a", Base: "http://127.0.0.1:1/v1", Start: now.UnixNano(), Head: now.UnixNano(), Status: 200})
	x.Request = Request{ID: "id", Route: "/v1/chat/completions", Status: 200, Start: now, End: now}
	tr.End(x)
	return true
}
