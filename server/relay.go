package server

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/openai"
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
func (x *exchange) writeHead(from *fasthttp.ResponseHeader, status int) {
	h := &x.ctx.Response.Header
	x.ctx.SetStatusCode(status)
	if ct := from.ContentType(); len(ct) > 0 {
		h.SetContentTypeBytes(ct)
	}
	x.upID = x.upID[:0]
	for key, value := range from.All() {
		switch {
		case string(key) == "X-Request-Id":
			x.upID = append(x.upID[:0], value...)
		case passes(key):
			h.SetBytesKV(key, value)
		}
	}
	x.writeOwnHeaders()
}

// passes reports whether a provider's header line reaches the client.
func passes(key []byte) bool {
	switch {
	case len(key) < 7:
		return false
	case key[0] == 'R':
		return string(key) == "Retry-After" || string(key) == "Retry-After-Ms"
	case key[0] == 'X':
		return hasPrefix(key, "X-Ratelimit-")
	case key[0] == 'O':
		return hasPrefix(key, "Openai-")
	case key[0] == 'C':
		return string(key) == "Content-Encoding"
	}
	return false
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
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
