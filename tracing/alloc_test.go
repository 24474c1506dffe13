//go:build !race

package tracing

import (
	"testing"

	"llmproxy/config"
)

// A request that is not sampled costs no allocation, whoever decided that.
func TestNoAllocationWhenNotSampled(t *testing.T) {
	f := func(name string, tr *Tracer, traceparent string) {
		t.Helper()
		h := []byte(traceparent)
		if allocs := testing.AllocsPerRun(1000, func() {
			if tr.Begin(h) != nil {
				t.Fatal("it is sampled")
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	none := &Tracer{sampler: newSampler(config.Sampler{ParentBased: true})}
	f("off", nil, someParent)
	f("by the parent", none, quietParent)
	f("by the ratio", none, "")
	f("malformed", none, someParent+"x")
	f("against the parent", &Tracer{sampler: newSampler(config.Sampler{})}, someParent)
}

func BenchmarkNotSampled(b *testing.B) {
	none := &Tracer{sampler: newSampler(config.Sampler{ParentBased: true})}
	for name, h := range map[string]string{"parent": quietParent, "ratio": "", "malformed": someParent + "x"} {
		b.Run(name, func(b *testing.B) {
			traceparent := []byte(h)
			b.ReportAllocs()
			for b.Loop() {
				if none.Begin(traceparent) != nil {
					b.Fatal("it is sampled")
				}
			}
		})
	}
}
