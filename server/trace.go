package server

import (
	"errors"
	"strconv"
	"time"

	"llmproxy/openai"
	"llmproxy/route"
	"llmproxy/tracing"
	"llmproxy/usage"
)

// A request that is sampled notes in x.trace what its spans will say of it,
// and settle hands that over. Of all others x.trace is nil, and so is what
// they pay: one comparison for each step.

var headerTraceparent, headerTracestate = []byte("Traceparent"), []byte("Tracestate")

// forwardedUntraced are the headers that pass when a request's traceparent is
// the gateway's own.
var forwardedUntraced = forwardedHeaders[:len(forwardedHeaders)-2]

// beginTrace decides whether the request is traced.
func (x *exchange) beginTrace() {
	if x.s.tracer == nil {
		return
	}
	h := &x.ctx.Request.Header
	if x.trace = x.s.tracer.Begin(h.PeekBytes(headerTraceparent)); x.trace != nil {
		x.trace.Heed(h.PeekBytes(headerTracestate))
	}
}

// traceHeaders appends what the provider is told of the trace, and returns
// which of the client's headers pass.
func (x *exchange) traceHeaders(b []byte) ([]byte, []string) {
	if x.trace == nil {
		return b, forwardedHeaders
	}
	return x.trace.AppendHeader(b), forwardedUntraced
}

// traceSent notes an attempt that has the head of its answer, or failed before.
func (x *exchange) traceSent(t *route.Target, err error) {
	if x.trace == nil {
		return
	}
	p := t.Provider
	a := tracing.Attempt{
		Provider: p.Name, Vendor: p.Type, Base: p.Client.Settings().APIBase,
		Model: p.UpstreamName(string(x.public)), Start: x.sentAt,
	}
	if err == nil {
		a.Head, a.Status = now(), x.attempt.Status()
	}
	if a.Status >= 400 {
		a.Error = strconv.Itoa(a.Status)
	}
	x.trace.Response = tracing.Response{}
	x.trace.Sent(a)
}

// traceFailed notes that the last attempt did not lead to an answer.
func (x *exchange) traceFailed(err error) {
	if x.trace == nil {
		return
	}
	fault := ""
	if x.stopped() == running {
		fault = reasonOf(err)
	}
	x.trace.Ended(now(), fault, "")
}

// traceBroken notes that the answer of the last attempt broke off, and that
// another one is to go on with it.
func (x *exchange) traceBroken() {
	if x.trace != nil {
		x.trace.Ended(now(), usage.Truncated.String(), string(x.upID))
	}
}

// traceAnswer notes what an answer, or an event of it, says of itself.
func (x *exchange) traceAnswer(data []byte) {
	if x.trace == nil {
		return
	}
	r := &x.trace.Response
	said := openai.Identity{ID: r.ID, Model: r.Model, Reasons: r.FinishReasons}
	said.Read(data)
	r.ID, r.Model, r.FinishReasons = said.ID, said.Model, said.Reasons
}

// namingEvents is how many events of a stream are asked for the answer's name;
// some providers leave it out of the first ones.
const namingEvents = 4

// traceEvent is traceAnswer for the events that can say something.
func (x *exchange) traceEvent(data []byte) {
	if e := &x.events; x.trace != nil && (e.delta.Finished || e.data < namingEvents) {
		x.traceAnswer(data)
	}
}

// takeTrace takes the trace out of a request that ended after it took so long:
// what becomes of the record becomes of it.
func (x *exchange) takeTrace(end ending, took time.Duration) *tracing.Trace {
	tr := x.trace
	if tr == nil {
		return nil
	}
	x.trace = nil
	at, fault := x.startAt+int64(took), ""
	switch {
	case end.outcome == usage.Truncated:
		fault = usage.Truncated.String()
	case end.outcome == usage.Complete && !x.rest && !x.events.open && x.wholeAt > 0:
		at = x.wholeAt
	}
	tr.Ended(at, fault, string(x.upID))
	tr.Error = end.fault()
	return tr
}

// fault names what went wrong, from a closed list; "" is nothing.
func (e ending) fault() string {
	var (
		own   *openai.Error
		spoke *spokeError
	)
	switch {
	case e.outcome == usage.Truncated:
		return usage.Truncated.String()
	case errors.As(e.err, &spoke):
		return strconv.Itoa(spoke.status)
	case errors.As(e.err, &own):
		return own.Code
	}
	return e.code()
}

// traceRefused hands over the trace of a request that there is no record of.
func (s *Server) traceRefused(x *exchange, end ending, took time.Duration) {
	tr := x.takeTrace(end, took)
	if tr == nil {
		return
	}
	r := x.record(end, took)
	if x.route == nil {
		r.Model = "" // whatever the client wrote there
	}
	s.tell(tr, &r)
}

// tell hands a trace over, with what the record of its request says.
func (s *Server) tell(tr *tracing.Trace, r *usage.Record) {
	if tr == nil {
		return
	}
	tr.ID, tr.Route, tr.Model, tr.KeyName = r.RequestID, r.Endpoint, r.Model, r.APIKeyName
	tr.Status, tr.Stream, tr.Attempts, tr.Outcome = r.Status, r.Stream, r.Attempts, r.Outcome.String()
	tr.Start, tr.End, tr.FirstToken, tr.Overhead = r.At, r.At.Add(r.Duration), r.TTFT, r.Overhead
	tr.Usage = tracing.Usage{
		Source: r.Source.String(), Input: r.Prompt, Output: r.Completion, Cached: r.Cached, Reasoning: r.Reasoning, CostMicroUSD: r.CostMicroUSD,
	}
	s.tracer.End(tr)
}
