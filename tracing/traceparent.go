package tracing

import (
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

// unhex decodes lower-case digits, the only ones that W3C allows.
func unhex(dst, src []byte) bool {
	for i := range dst {
		high, low := digit(src[2*i]), digit(src[2*i+1])
		if high|low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// digit is the value of a hexadecimal digit, more than 15 of what is none.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
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
	const digits = "0123456789abcdef"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
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

// newTraceID draws an id. It needs to be rare, not secret.
func newTraceID() (id trace.TraceID) {
	put(id[:8], rand.Uint64())
	put(id[8:], rand.Uint64()|1) // never zero, which names nobody
	return id
}

func newSpanID() (id trace.SpanID) {
	put(id[:], rand.Uint64()|1)
	return id
}

func put(b []byte, n uint64) {
	for i := range 8 {
		b[i] = byte(n >> (8 * i))
	}
}
