package tracing

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// maxAttempts bounds what a trace remembers; further attempts are not told of.
const maxAttempts = 32

// Trace is one request that is told of. It is not pooled, and belongs to the
// goroutine that owns the request, until End.
type Trace struct {
	Request

	id     trace.TraceID
	parent trace.SpanID // the client's; zero without one
	span   trace.SpanID // of the SERVER span
	state  trace.TraceState

	next     trace.SpanID // of the attempt that is about to be sent
	attempts []Attempt
}

// Request is what is known of a request when it has ended. Texts are copies.
type Request struct {
	ID         string
	Route      string // "/v1/chat/completions"
	Model      string // as the client asked for it; "" if none serves it
	KeyName    string // of the client's key; never the key
	Status     int    // that the client saw; 499 if it left before
	Stream     bool
	Attempts   int
	Outcome    string // as usage records have it
	Error      string // from a closed list; "" is none
	Start, End time.Time
	FirstToken time.Duration // since Start; 0 without
	Overhead   time.Duration // the gateway's own part

	Usage    Usage
	Response Response
}

// Usage is what the answer took.
type Usage struct {
	Source            string // where the counts come from; "none" without any
	Input, Output     int64  // tokens
	Cached, Reasoning int64  // parts of Input and of Output
	CostMicroUSD      int64
}

// Response is what an answer says of itself.
type Response struct {
	ID            string
	Model         string
	FinishReasons []string
}

// Attempt is one request to one provider.
type Attempt struct {
	Provider  string // its name in the configuration
	Vendor    string // its type there: openai
	Base      string // its address, with scheme
	Model     string // as it was asked for
	Start     int64  // unix nanoseconds, like all of these
	Head      int64  // when the answer's head was there; 0: it never was
	End       int64  // 0 while it goes on
	Status    int    // of the answer; 0 without
	Error     string // from a closed list; "" is none
	RequestID string // the provider's own

	span trace.SpanID
}

// Heed takes over the client's tracestate, if it came with a traceparent that
// counts. A malformed one is dropped.
func (t *Trace) Heed(tracestate []byte) {
	if t.parent.IsValid() {
		t.state = parseState(tracestate)
	}
}

// AppendHeader appends the header lines by which a provider learns of its
// span. What is sent with them is to be told by Sent.
func (t *Trace) AppendHeader(dst []byte) []byte {
	t.next = newSpanID()
	dst = append(dst, "Traceparent: "...)
	dst = append(appendParent(dst, t.id, t.next), "\r\n"...)
	if s := t.state.String(); s != "" {
		dst = append(append(append(dst, "Tracestate: "...), s...), "\r\n"...)
	}
	return dst
}

// Sent adds the attempt that the last AppendHeader was for. One that is still
// going on ends where it begins.
func (t *Trace) Sent(a Attempt) {
	t.Ended(a.Start, "", "")
	if len(t.attempts) == maxAttempts {
		return
	}
	a.span = t.next
	t.attempts = append(t.attempts, a)
}

// Ended says how the last attempt ended, unless that was said before. fault is
// "" if it was well; requestID is the provider's, "" for none.
func (t *Trace) Ended(at int64, fault, requestID string) {
	if len(t.attempts) == 0 {
		return
	}
	a := &t.attempts[len(t.attempts)-1]
	if a.End != 0 {
		return
	}
	a.End, a.RequestID = at, requestID
	if a.Error == "" {
		a.Error = fault
	}
}
