package tracing

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"llmproxy/config"
)

func TestMain(m *testing.M) {
	os.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // the SDK's own setting, of five seconds
	goleak.VerifyTestMain(m)
}

// receiver is a collector: OTLP over HTTP, in protobuf.
type receiver struct {
	*httptest.Server
	status atomic.Int64                  // it answers with; 0 is 200
	answer atomic.Pointer[string]        // to a status that is no success
	gate   atomic.Pointer[chan struct{}] // it answers when this is closed; nil: at once

	mu       sync.Mutex
	spans    []*spans.Span
	resource []*common.KeyValue
	header   http.Header
	raw      []byte // all that came
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var all collector.ExportTraceServiceRequest
	if err != nil || q.URL.Path != "/v1/traces" || proto.Unmarshal(body, &all) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if gate := r.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-q.Context().Done():
		}
	}
	if status := r.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		if answer := r.answer.Load(); answer != nil {
			_, _ = io.WriteString(w, *answer)
		}
		return
	}
	r.keep(&all, body, q.Header)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (r *receiver) keep(all *collector.ExportTraceServiceRequest, body []byte, header http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw, r.header = append(r.raw, body...), header
	for _, of := range all.ResourceSpans {
		r.resource = of.Resource.Attributes
		for _, scope := range of.ScopeSpans {
			r.spans = append(r.spans, scope.Spans...)
		}
	}
}

// all are the spans that came so far.
func (r *receiver) all() []*spans.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*spans.Span(nil), r.spans...)
}

// to are the settings that send everything to the receiver.
func (r *receiver) to(change ...func(*config.Tracing)) config.Tracing {
	o := config.Tracing{
		Endpoint: r.URL, Protocol: "http/protobuf", Exporter: "otlp", ServiceName: "llm-proxy",
		SamplerName: "parentbased_always_on", SamplerArg: "1", QueueSize: 2048,
	}
	for _, c := range change {
		c(&o)
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

// attributes are a span's, as text.
func attributes(all []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		m[a.Key] = shown(a.Value)
	}
	return m
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
