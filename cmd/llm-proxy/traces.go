package main

import (
	"context"
	"time"

	"llmproxy/tracing"
)

const (
	// lastSpans is how long an end waits at most for a collector that is slow or
	// away; it does so within the grace only.
	lastSpans = 5 * time.Second
	// leastSpans is what it has when the grace is over.
	leastSpans = 100 * time.Millisecond
)

// openTracer makes the tracer, if there is a collector, and puts its counts on
// the page of metrics.
func (g *gateway) openTracer() (err error) {
	if g.tracer, err = tracing.Open(g.o.Tracing, version, g.log); err != nil {
		return err
	}
	t := g.tracer
	for result, count := range map[string]func() int64{
		"exported": func() int64 { return t.Stats().Exported },
		"failed":   func() int64 { return t.Stats().Failed },
		"dropped":  func() int64 { return t.Stats().Dropped },
	} {
		g.metrics.CounterFunc("llm_proxy_trace_spans_total", "result", result, count)
	}
	return nil
}

// closeTracer sends the spans that wait. It comes after the last request, and
// its token count, has ended.
func (g *gateway) closeTracer() {
	wait := max(leastSpans, min(lastSpans, time.Until(g.graceEnds)))
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := g.tracer.Close(ctx); err != nil {
		g.log.Warn("traces were left behind: the collector did not take them in time")
	}
}
