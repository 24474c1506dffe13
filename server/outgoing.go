package server

import (
	"bytes"

	"llmproxy/route"
	"llmproxy/upstream"
)

// forwardedHeaders are the client's header lines that reach the provider.
// Everything else stays here: a list of what passes cannot leak what it does
// not name. The last two pass of requests that are not traced.
var forwardedHeaders = []string{
	"Openai-Beta", "Idempotency-Key", "X-Client-Request-Id", "Traceparent", "Tracestate",
}

var contentJSON = []byte("application/json")

// fill makes the request for the target: the client's bytes with the values of
// model and stream_options.include_usage spliced. It is valid until the next fill.
func (x *exchange) fill(q *upstream.Request, t *route.Target) {
	model := t.Upstream(x.model[:0], x.public, x.cut)
	q.Method, q.Path, q.ContentType = "POST", x.endpoint.upstream, contentJSON
	q.Header = x.extraHeaders()
	q.Body = x.parsed.Splice(x.segments[:0], x.body, model, x.askUsage)
	q.Stream = x.parsed.Stream
	q.RequestID = x.id
}

// extraHeaders collects the client's header lines that pass.
func (x *exchange) extraHeaders() []byte {
	b, names := x.traceHeaders(x.headers[:0])
	for _, name := range names {
		v := x.ctx.Request.Header.Peek(name)
		if len(v) == 0 || bytes.ContainsAny(v, "\r\n\x00") {
			continue
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, v...)
		b = append(b, "\r\n"...)
	}
	x.headers = b
	return b
}

// refusesStreamOptions reports whether a 400's body blames the field that the
// gateway put in.
func refusesStreamOptions(body []byte) bool {
	return bytes.Contains(body, []byte("stream_options")) || bytes.Contains(body, []byte("include_usage"))
}
