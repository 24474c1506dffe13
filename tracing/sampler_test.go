package tracing

import (
	"context"
	"encoding/binary"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"llmproxy/config"
)

// The samplers decide as the SDK's of the same names do: a trace that passes
// several programs is whole or not there.
func TestSamplersAgreeWithTheSDK(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ratio := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1, 0.5, 1e-9})).Draw(t, "ratio")
		based := rapid.Bool().Draw(t, "parentbased")
		var id trace.TraceID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		id[0] |= 1
		p := parent{trace: id, span: trace.SpanID{1}, sampled: rapid.Bool().Draw(t, "sampled")}
		has := rapid.Bool().Draw(t, "has a parent")

		ctx := context.Background()
		if has {
			flags := trace.TraceFlags(0).WithSampled(p.sampled)
			ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: p.span, TraceFlags: flags, Remote: true}))
		}
		theirs := sdk.TraceIDRatioBased(ratio)
		if based {
			theirs = sdk.ParentBased(theirs)
		}
		want := theirs.ShouldSample(sdk.SamplingParameters{ParentContext: ctx, TraceID: id}).Decision == sdk.RecordAndSample
		if got := newSampler(config.Sampler{ParentBased: based, Ratio: ratio}).sample(binary.BigEndian.Uint64(id[8:]), &p, has); got != want {
			t.Errorf("ratio %v, parentbased %v, has %v, %+v: %v, the SDK says %v", ratio, based, has, p, got, want)
		}
	})
}

// Requests without a parent are sampled in the share that was asked for.
func TestShareOfRequestsWithoutParent(t *testing.T) {
	tr := &Tracer{sampler: newSampler(config.Sampler{ParentBased: true, Ratio: 0.25})}
	n := 0
	for range 20_000 {
		if tr.Begin(nil) != nil {
			n++
		}
	}
	if n < 4500 || n > 5500 { // eight standard deviations
		t.Errorf("%d of 20000 at a quarter", n)
	}
}
