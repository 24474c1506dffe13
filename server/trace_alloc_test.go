//go:build !race

package server

import (
	"log/slog"
	"testing"

	"llmproxy/config"
	"llmproxy/tracing"
	"llmproxy/usage"
)

// While others are traced, a request that is not sampled allocates no more than
// without tracing: nothing from accept to pick, whatever its traceparent says.
func TestNoAllocationForAnUnsampledRequest(t *testing.T) {
	tracer, err := tracing.Open(config.Tracing{
		Endpoint: "http://127.0.0.1:1", Exporter: "otlp", ServiceName: "x", SamplerName: "parentbased_always_off", QueueSize: 64,
	}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tracer.Close(t.Context()) }()
	s, e := newTestServer(t)
	s.tracer = tracer
	f := func(traceparent string) {
		t.Helper()
		r := newReplayed(chatOf("hello"))
		r.ctx.Request.Header.Set("Traceparent", traceparent)
		allocs := testing.AllocsPerRun(1000, func() {
			x := r.toPick(t, s, e)
			if x.trace != nil {
				t.Fatal("it is sampled")
			}
			x.held.Settle(config.Tokens{}, 0, false, now())
			x.admitted = false // so that there is no record, which has strings
			s.settle(x, ending{outcome: usage.Refused})
			s.release(x)
		})
		if allocs != 0 {
			t.Errorf("%q: %v allocations a request", traceparent, allocs)
		}
	}
	f("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	f("malformed")
}
