package tracing

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// silence is how long nothing more is logged of exports that fail.
const silence = time.Minute

// exporter counts what the SDK's exporter does, and says so when it fails.
type exporter struct {
	sdk.SpanExporter
	pending *atomic.Int64 // of the Tracer
	sent    atomic.Int64
	failed  atomic.Int64
	logged  atomic.Int64 // unix nanoseconds; 0 is never
	log     *slog.Logger
	secrets *strings.Replacer // of the header lines
	open    context.Context   // ends with giveUp
	giveUp  context.CancelFunc
}

func newExporter(out sdk.SpanExporter, pending *atomic.Int64, lines map[string]string, log *slog.Logger) *exporter {
	e := &exporter{SpanExporter: out, pending: pending, log: log, secrets: hide(lines)}
	e.open, e.giveUp = context.WithCancel(context.Background())
	return e
}

// hide takes the values of header lines out of errors: a collector may quote
// what it was sent.
func hide(lines map[string]string) *strings.Replacer {
	var pairs []string
	for _, value := range lines {
		pairs = append(pairs, value, "***")
		if _, key, found := strings.Cut(value, " "); found { // Bearer and the like
			pairs = append(pairs, key, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}

// ExportSpans implements sdk.SpanExporter. It has no error for the SDK, which
// would write it to where no log is.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.open, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	n := int64(len(spans))
	e.pending.Add(-n)
	if err == nil {
		e.sent.Add(n)
		return nil
	}
	e.failed.Add(n)
	e.complain(err, time.Now().UnixNano())
	return nil
}

// complain writes a line, but not one for each batch of an outage.
func (e *exporter) complain(err error, now int64) {
	last := e.logged.Load()
	if last != 0 && now-last < int64(silence) || !e.logged.CompareAndSwap(last, now) {
		return
	}
	e.log.Warn("traces were not taken by the collector", "error", text(e.secrets.Replace(err.Error())), "spans_lost", e.failed.Load())
}
