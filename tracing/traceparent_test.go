package tracing

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"llmproxy/internal/fakecollector"
)

const (
	someTrace   = "0af7651916cd43dd8448eb211c80319c"
	someSpan    = "b7ad6b7169203331"
	someParent  = "00-" + someTrace + "-" + someSpan + "-01"
	quietParent = "00-" + someTrace + "-" + someSpan + "-00"
)

func TestTraceparentIsReadAsW3CSays(t *testing.T) {
	f := func(h string, want string) {
		t.Helper()
		p, ok := parseParent([]byte(h))
		got := ""
		if ok {
			got = p.trace.String() + " " + p.span.String()
			if p.sampled {
				got += " sampled"
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", h, got, want)
		}
	}
	ids := someTrace + " " + someSpan
	f(someParent, ids+" sampled")
	f(quietParent, ids)
	f("00-"+someTrace+"-"+someSpan+"-03", ids+" sampled")
	f("cc-"+someTrace+"-"+someSpan+"-01", ids+" sampled")
	f("cc-"+someTrace+"-"+someSpan+"-01-what-comes-later", ids+" sampled")
	f("cc-"+someTrace+"-"+someSpan+"-01what-comes-later", "")
	f("cc-"+someTrace+"-"+someSpan+"-01-"+strings.Repeat("x", maxParent), "")
	f("", "")
	f("ff-"+someTrace+"-"+someSpan+"-01", "")
	f(someParent+"-more", "")
	f(someParent+" ", "")
	f(" "+someParent, "")
	f(strings.ToUpper(someParent), "")
	f("00-"+strings.Repeat("0", 32)+"-"+someSpan+"-01", "")
	f("00-"+someTrace+"-"+strings.Repeat("0", 16)+"-01", "")
	f("00-"+someTrace+"-"+someSpan+"-0x", "")
	f("00-"+someTrace+"-"+someSpan+"-ff", "")
	f("00_"+someTrace+"_"+someSpan+"_01", "")
	f(strings.Repeat("0", parentLength), "")
	f(strings.Repeat("\xff", parentLength), "")
}

// FuzzTraceparent: what is read here is what the SDK reads; of a length that
// no program sends, nothing is.
func FuzzTraceparent(f *testing.F) {
	for _, h := range []string{someParent, quietParent, "cc-" + someTrace + "-" + someSpan + "-01-x", "00-" + someTrace, "", "-----"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, h string) {
		p, ok := parseParent([]byte(h))
		if len(h) > maxParent {
			if ok {
				t.Fatalf("%d bytes are taken", len(h))
			}
			return
		}
		carrier := propagation.MapCarrier{"traceparent": h}
		want := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
		if ok != want.IsValid() || ok && (p.trace != want.TraceID() || p.span != want.SpanID() || p.sampled != want.IsSampled()) {
			t.Errorf("%q: %v %+v, the SDK reads %+v", h, ok, p, want)
		}
		if again, ok2 := parseParent(appendParent(nil, p.trace, p.span)); ok && (!ok2 || again.trace != p.trace || again.span != p.span || !again.sampled) {
			t.Errorf("%q is not what was written", h)
		}
	})
}

// Whatever a client sends as tracestate, what goes on has no line end in it, is
// no longer than it may be, and comes only with a traceparent that counts.
func TestTracestateIsBounded(t *testing.T) {
	f := func(state, want string) {
		t.Helper()
		x := &Trace{id: newTraceID(1), parent: newSpanID()}
		x.Heed([]byte(state))
		if got := x.state.String(); got != want {
			t.Errorf("%q: %q, want %q", state, got, want)
		}
	}
	f("", "")
	f("vendor=1", "vendor=1")
	f("b@vendor=x y, a=2", "b@vendor=x y,a=2")
	f("vendor=1\r\nAuthorization: Bearer x", "")
	f("no pair", "")
	f("vendor="+strings.Repeat("x", maxState), "")
	orphan := &Trace{id: newTraceID(1)}
	orphan.Heed([]byte("vendor=1"))
	if got := string(orphan.AppendHeader(nil)); strings.Contains(got, "vendor") {
		t.Errorf("without a parent: %q", got)
	}
}

func TestHeaderLinesNameTheAttempt(t *testing.T) {
	tr, _ := open(t, to(fakecollector.Start(t)))
	x := tr.Begin([]byte(someParent))
	x.Heed([]byte("vendor=1"))
	first := string(x.AppendHeader([]byte("X: y\r\n")))
	second := string(x.AppendHeader(nil))
	if !strings.HasPrefix(first, "X: y\r\nTraceparent: 00-"+someTrace+"-") || !strings.HasSuffix(first, "-01\r\nTracestate: vendor=1\r\n") {
		t.Errorf("%q", first)
	}
	if strings.Contains(first, someSpan) || strings.Contains(first, x.span.String()) || strings.HasSuffix(first, second) {
		t.Errorf("%q then %q: not a span of its own", first, second)
	}
	tr.End(x)
}
