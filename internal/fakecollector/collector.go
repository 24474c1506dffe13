// Package fakecollector is an OpenTelemetry collector for tests: OTLP over
// HTTP, in protobuf, on a real socket. It keeps what it is told.
package fakecollector

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes spans. Its methods may be called by any goroutine.
type Collector struct {
	URL string // the base of all signals

	refusal atomic.Pointer[refusal]
	gate    atomic.Pointer[chan struct{}]

	mu       sync.Mutex
	spans    []Span
	resource map[string]string
	header   http.Header
	raw      []byte
}

type refusal struct {
	status int
	body   string
}

// Span is one that came. Ids are in hexadecimal, attributes as text.
type Span struct {
	Name                   string
	Trace, ID, Parent      string // Parent is "" without one
	State                  string // tracestate
	Server, Client, Failed bool   // its kind, and whether its status is an error
	Start, End             int64  // unix nanoseconds
	Attributes             map[string]string
	Events                 []Event
}

// Event is one of a span.
type Event struct {
	Name string
	At   int64 // unix nanoseconds
}

// Start runs a collector until the test ends.
func Start(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	tb.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Refuse has it answer with the status and body; status 0 has it take spans again.
func (c *Collector) Refuse(status int, body string) { c.refusal.Store(&refusal{status, body}) }

// Hold has it answer nothing until gate is closed.
func (c *Collector) Hold(gate chan struct{}) { c.gate.Store(&gate) }

func (c *Collector) take(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var all collector.ExportTraceServiceRequest
	if err != nil || q.URL.Path != "/v1/traces" || proto.Unmarshal(body, &all) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if gate := c.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-q.Context().Done():
		}
	}
	if no := c.refusal.Load(); no != nil && no.status != 0 {
		w.WriteHeader(no.status)
		_, _ = io.WriteString(w, no.body) // who does not read it is not told
		return
	}
	c.keep(&all, body, q.Header)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *Collector) keep(all *collector.ExportTraceServiceRequest, body []byte, header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw, c.header = append(c.raw, body...), header
	for _, of := range all.ResourceSpans {
		c.resource = texts(of.Resource.Attributes)
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, read(s))
			}
		}
	}
}

// Spans returns all that came so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Last returns what the last export said of who sends it: the resource, and the
// header lines.
func (c *Collector) Last() (resource map[string]string, header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource, c.header
}

// Raw returns every byte that came in bodies.
func (c *Collector) Raw() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.raw...)
}

func read(s *spans.Span) Span {
	one := Span{
		Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId), State: s.TraceState,
		Server: s.Kind == spans.Span_SPAN_KIND_SERVER, Client: s.Kind == spans.Span_SPAN_KIND_CLIENT,
		Failed: s.Status.GetCode() == spans.Status_STATUS_CODE_ERROR,
		Start:  int64(s.StartTimeUnixNano), End: int64(s.EndTimeUnixNano), Attributes: texts(s.Attributes),
	}
	for _, e := range s.Events {
		one.Events = append(one.Events, Event{e.Name, int64(e.TimeUnixNano)})
	}
	return one
}

func texts(all []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		m[a.Key] = text(a.Value)
	}
	return m
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *common.AnyValue_ArrayValue:
		var each []string
		for _, one := range v.ArrayValue.Values {
			each = append(each, text(one))
		}
		return strings.Join(each, ",")
	}
	return fmt.Sprint(v)
}
