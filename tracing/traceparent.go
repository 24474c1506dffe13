package tracing

import (
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

const (
	// parentLength is how long a traceparent of version 00 is.
	parentLength = 55
	// maxParent bounds those of later versions, which may be longer.
	maxParent = 256
	// maxState is how much tracestate is taken: what W3C asks everybody to
	// pass on. A longer one is dropped whole.
	maxState = 512
)

// parent is what a traceparent says.
type parent struct {
	trace   trace.TraceID
	span    trace.SpanID
	sampled bool
}

// parseParent reads a traceparent (W3C Trace Context, 3.2). Whatever is not
// one, or names nobody, is none: ok is false.
func parseParent(h []byte) (p parent, ok bool) {
	if len(h) < parentLength || len(h) > maxParent || h[2] != '-' || h[35] != '-' || h[52] != '-' {
		return parent{}, false
	}
	var version, flags [1]byte
	ok = unhex(version[:], h[:2]) && unhex(p.trace[:], h[3:35]) && unhex(p.span[:], h[36:52]) && unhex(flags[:], h[53:55])
	switch {
	case !ok, version[0] == 0xff, !p.trace.IsValid(), !p.span.IsValid():
		return parent{}, false
	case version[0] == 0 && (len(h) != parentLength || flags[0] > 3):
		return parent{}, false // flags that version 00 does not have
	case len(h) > parentLength && h[parentLength] != '-':
		return parent{}, false
	}
	p.sampled = flags[0]&1 != 0
	return p, true
}

const hexDigits = "0123456789abcdef"

// digits has the value of each hexadecimal digit that W3C allows, which are
// the lower-case ones, and more than 15 of every other byte.
var digits = func() (value [256]byte) {
	for i := range value {
		value[i] = 0xff
	}
	for i, c := range []byte(hexDigits) {
		value[c] = byte(i)
	}
	return value
}()

func unhex(dst, src []byte) bool {
	var seen byte
	for i := range dst {
		high, low := digits[src[2*i]], digits[src[2*i+1]]
		dst[i] = high<<4 | low
		seen |= high | low
	}
	return seen <= 15
}

// appendParent appends the traceparent of a sampled span.
func appendParent(dst []byte, t trace.TraceID, s trace.SpanID) []byte {
	dst = append(dst, "00-"...)
	dst = appendHex(dst, t[:])
	dst = append(dst, '-')
	dst = appendHex(dst, s[:])
	return append(dst, "-01"...)
}

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// parseState reads a tracestate; one that is broken or too long is none.
func parseState(h []byte) trace.TraceState {
	if len(h) == 0 || len(h) > maxState {
		return trace.TraceState{}
	}
	state, err := trace.ParseTraceState(string(h))
	if err != nil {
		return trace.TraceState{}
	}
	return state
}

// newTraceID makes an id of which the sampler has seen half. It needs to be
// rare, not secret.
func newTraceID(half uint64) (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // zero names nobody
	binary.BigEndian.PutUint64(id[8:], half)
	return id
}

func newSpanID() (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}
