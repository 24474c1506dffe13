package tracing

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"llmproxy/config"
)

// Tracer decides which requests are told of, and tells. A nil *Tracer traces
// nothing. Its methods may be called by any goroutine.
//
// Most of spans may wait between End and the collector, in memory. What comes
// above is dropped and counted: a collector that is slow or away costs traces,
// never a request.
type Tracer struct {
	sampler  sampler
	most     int64
	pending  atomic.Int64 // spans that End took and the exporter has not got rid of
	dropped  atomic.Int64
	closed   atomic.Bool
	ended    chan *Trace // has room for most: each has a span at least
	batches  sdk.SpanProcessor
	spans    trace.Tracer
	exporter *exporter

	stop  func() // ends the goroutine; once
	built chan struct{}
}

// Stats count spans.
type Stats struct {
	Exported int64 // the collector took them
	Failed   int64 // it did not, after the SDK's own retries
	Dropped  int64 // there was no room to wait
	Pending  int64 // wait now
}

// Open returns a Tracer that sends to where the settings say; nil when they
// say nowhere. It connects to nobody. Whoever opens it calls Close.
func Open(o config.Tracing, version string, log *slog.Logger) (*Tracer, error) {
	if !o.On() {
		return nil, nil
	}
	out, err := otlptracehttp.New(context.Background(), // it does not connect
		otlptracehttp.WithEndpointURL(o.URL()), otlptracehttp.WithHeaders(o.HeaderLines()))
	if err != nil {
		return nil, errors.New("traces: the exporter does not take the OTEL_EXPORTER_OTLP_ settings")
	}
	about, err := describe(o, version)
	if err != nil {
		return nil, errors.New("traces: OTEL_RESOURCE_ATTRIBUTES cannot be used")
	}
	t := &Tracer{sampler: newSampler(o.Sampler()), most: int64(o.QueueSize), ended: make(chan *Trace, o.QueueSize), built: make(chan struct{})}
	t.exporter = newExporter(out, &t.pending, o.HeaderLines(), log)
	t.batches = sdk.NewBatchSpanProcessor(t.exporter, batches(o.QueueSize)...)
	provider := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // decided by Begin
		sdk.WithIDGenerator(given{}),
		sdk.WithResource(about),
		sdk.WithSpanProcessor(t.batches),
	)
	t.spans = provider.Tracer("llmproxy", trace.WithInstrumentationVersion(version), trace.WithSchemaURL(semconv.SchemaURL))
	stopping := make(chan struct{})
	t.stop = sync.OnceFunc(func() { close(stopping) })
	go t.build(stopping)
	return t, nil
}

// batches are the options of the SDK's processor. Its queue is never full:
// more than it holds is not handed over.
func batches(queue int) []sdk.BatchSpanProcessorOption {
	o := []sdk.BatchSpanProcessorOption{sdk.WithMaxQueueSize(queue)}
	if queue < sdk.DefaultMaxExportBatchSize {
		o = append(o, sdk.WithMaxExportBatchSize(queue))
	}
	return o
}

// describe says who it is that tells.
func describe(o config.Tracing, version string) (*resource.Resource, error) {
	own := []attribute.KeyValue{}
	for name, value := range o.ResourceAttributes() {
		own = append(own, attribute.String(name, text(value)))
	}
	// The name has the last word, as OpenTelemetry wants it.
	own = append(own, semconv.ServiceVersion(version), semconv.ServiceName(o.ServiceName))
	return resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(own...))
}

// Begin decides whether a request is told of. It returns nil if not, having
// allocated nothing. traceparent is the client's header, "" or nil for none; a
// malformed one is none. It is not kept.
func (t *Tracer) Begin(traceparent []byte) *Trace {
	if t == nil {
		return nil
	}
	p, has := parseParent(traceparent)
	half := binary.BigEndian.Uint64(p.trace[8:])
	if !has {
		half = rand.Uint64()
	}
	if !t.sampler.sample(half, &p, has) {
		return nil
	}
	if !has {
		p.trace = newTraceID(half)
	}
	return &Trace{id: p.trace, parent: p.span, span: newSpanID()}
}

// End takes a trace over; it is not the caller's any more. It never waits.
func (t *Tracer) End(tr *Trace) {
	n := int64(1 + len(tr.attempts))
	switch {
	case t.closed.Load():
	case t.pending.Add(n) > t.most:
		t.pending.Add(-n)
	default:
		t.ended <- tr
		return
	}
	t.dropped.Add(n)
}

// build makes spans of what has ended, until it is stopped and nothing waits.
func (t *Tracer) build(stopping <-chan struct{}) {
	defer close(t.built)
	for {
		select {
		case tr := <-t.ended:
			t.tell(tr)
			continue
		default:
		}
		select {
		case tr := <-t.ended:
			t.tell(tr)
		case <-stopping:
			if len(t.ended) == 0 {
				return
			}
		}
	}
}

// Stats returns what became of the spans so far. Of a nil Tracer it is zero.
func (t *Tracer) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	return Stats{
		Exported: t.exporter.sent.Load(), Failed: t.exporter.failed.Load(),
		Dropped: t.dropped.Load(), Pending: t.pending.Load(),
	}
}

// Close sends what waits, until ctx ends; what is left then is given up and
// counted as failed. Nothing is taken any more. A second Close does nothing.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.closed.Store(true)
	t.stop()
	<-t.built
	// Not the provider's Shutdown, which leaves all running if ctx has ended.
	err := t.batches.Shutdown(ctx)
	t.exporter.giveUp()
	return err
}
