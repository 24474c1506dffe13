package server

import (
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
	"llmproxy/openai"
	"llmproxy/ratelimit"
	"llmproxy/usage"
)

// reject answers with an error instead of a provider's answer: the gateway's
// own in OpenAI's shape, or the last provider's as it came.
func (s *Server) reject(x *exchange, err error) {
	var (
		spoke *spokeError
		own   *openai.Error
		gone  *goneError
	)
	switch {
	case errors.As(err, &gone):
		x.status = statusClientGone
		x.ctx.SetConnectionClose()
		s.settle(x, ending{outcome: usage.Cancelled, phase: gone.phase})
		return
	case errors.As(err, &spoke):
		x.status = spoke.status
		x.writeHead(&x.failure.headers, spoke.status)
		x.ctx.Response.SetBody(x.failure.body)
	case errors.As(err, &own):
		x.status = own.Status
		if len(x.body) == 0 && x.ctx.Request.Header.ContentLength() != 0 {
			downstream.LingerOnClose(x.ctx.Conn())
		}
		x.writeOwnHeaders()
		writeError(x.ctx, own)
	default:
		panic("BUG: an error that is not the client's: " + err.Error())
	}
	end := ending{outcome: usage.Failed, err: err}
	if x.attempts == 0 && x.lastErr == nil { // nobody was asked
		end.outcome = usage.Refused
	}
	s.settle(x, end)
}

// goneError says that the client left, and what the provider was doing then.
type goneError struct{ phase string }

func (e *goneError) Error() string { return "the client left" }

// err is what forward returns when the exchange was stopped from outside.
func (r stopReason) err(phase string) error {
	if r == clientGone {
		return &goneError{phase}
	}
	return openai.ErrOverloaded(time.Second)
}

// writeError makes the error the answer. It keeps header lines that are set.
func writeError(ctx *fasthttp.RequestCtx, e *openai.Error) {
	ctx.SetStatusCode(e.Status)
	ctx.SetContentType("application/json")
	if e.RetryAfter > 0 {
		h := &ctx.Response.Header
		h.Set(fasthttp.HeaderRetryAfter, strconv.FormatInt(ceilSeconds(e.RetryAfter), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(e.RetryAfter.Milliseconds()+1, 10))
	}
	ctx.Response.SetBodyRaw(e.AppendJSON(make([]byte, 0, 256)))
}

func ceilSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// writeRateHeaders tells a client where it stands with its rate limit.
func writeRateHeaders(h *fasthttp.ResponseHeader, v ratelimit.Verdict) {
	h.Set("X-Ratelimit-Limit-Requests", strconv.FormatInt(v.Limit, 10))
	h.Set("X-Ratelimit-Remaining-Requests", strconv.FormatInt(v.Remaining, 10))
	h.Set("X-Ratelimit-Reset-Requests", v.Reset.Round(time.Millisecond).String())
}
