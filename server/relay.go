package server

import (
	"strconv"
	"time"

	"llmproxy/openai"
	"llmproxy/upstream"
	"llmproxy/usage"
)

// relay gives the client the answer that forward left. It returns with the
// response ready for fasthttp to write: whole, or as a body stream that lives
// on until its Close.
func (s *Server) relay(x *exchange) {
	x.writeHead(x.attempt.Header(), x.status)
	switch {
	case x.events.open:
		s.relayEvents(x)
	case x.rest:
		s.relayRest(x)
	default:
		s.relayWhole(x)
	}
}

// relayWhole hands the answer's buffer to fasthttp, which keeps it until it is
// written, and takes over the one it had.
func (s *Server) relayWhole(x *exchange) {
	x.usage, x.hasUsage = openai.ParseUsage(x.answer)
	x.usageEnd = true
	if !x.hasUsage && x.endpoint.dialect != opaque {
		x.text = openai.AppendAnswerText(x.text[:0], x.answer)
	}
	x.traceAnswer(x.answer)
	x.attempt.Close()
	x.answer = x.ctx.Response.SwapBody(x.answer)
	relayed := time.Duration(now() - x.wholeAt)
	x.overhead += relayed
	s.relayed.Observe(relayed)
	s.settle(x, ending{outcome: usage.Complete})
}

// writeHead sets the answer's status and header lines: what the provider said
// of its limits and of the request, and the gateway's own.
func (x *exchange) writeHead(from *upstream.Header, status int) {
	h := &x.ctx.Response.Header
	x.ctx.SetStatusCode(status)
	x.upID = x.upID[:0]
	if kind := from.Value("content-type"); len(kind) > 0 {
		h.SetContentTypeBytes(kind) // the first, as receive takes it
	}
	for name, value := range from.All() {
		switch {
		case upstream.EqualFold(name, "x-request-id"):
			x.upID = append(x.upID[:0], value...)
		case passes(name):
			h.SetBytesKV(name, value)
		}
	}
	x.writeOwnHeaders()
}

// passes reports whether a provider's header line reaches the client.
func passes(name []byte) bool {
	if len(name) < len("openai-") {
		return false
	}
	switch name[0] | 0x20 {
	case 'r':
		return upstream.EqualFold(name, "retry-after") || upstream.EqualFold(name, "retry-after-ms")
	case 'x':
		return hasPrefix(name, "x-ratelimit-")
	case 'o':
		return hasPrefix(name, "openai-")
	case 'c':
		return upstream.EqualFold(name, "content-encoding")
	}
	return false
}

// hasPrefix reports whether a name begins with a prefix in lower case.
func hasPrefix(name []byte, prefix string) bool {
	return len(name) >= len(prefix) && upstream.EqualFold(name[:len(prefix)], prefix)
}

var (
	headerRequestID  = []byte("X-Request-Id")
	headerUpstreamID = []byte("X-Upstream-Request-Id")
	headerProvider   = []byte("X-Llm-Proxy-Provider")
	headerAttempts   = []byte("X-Llm-Proxy-Attempts")
)

// writeOwnHeaders says by which id the request goes (the client's own, else
// the provider's, else the one made here), who answered, and at which attempt.
func (x *exchange) writeOwnHeaders() {
	h := &x.ctx.Response.Header
	h.SetCanonical(headerRequestID, x.answerID())
	if x.quota.Limit > 0 {
		writeQuotaHeaders(h, x.quota)
	}
	if x.clientID && len(x.upID) > 0 {
		h.SetCanonical(headerUpstreamID, x.upID)
	}
	if x.target != nil {
		h.SetCanonical(headerProvider, x.target.Provider.NameBytes)
	}
	if x.attempts > 0 {
		var buf [8]byte
		h.SetCanonical(headerAttempts, strconv.AppendInt(buf[:0], int64(x.attempts), 10))
	}
}

// answerID is the id that the client sees: its own, else the provider's, else
// the one made here.
func (x *exchange) answerID() []byte {
	if x.clientID || len(x.upID) == 0 {
		return x.id
	}
	return x.upID
}
