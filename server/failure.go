package server

import (
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/openai"
	"llmproxy/route"
	"llmproxy/upstream"
)

// failure is the last provider's error answer. It is the client's when no
// other provider is left, or when it is the client's own fault.
type failure struct {
	status  int // 0: no provider has spoken
	body    []byte
	headers fasthttp.ResponseHeader
}

func (f *failure) reset() {
	f.status, f.body = 0, kept(f.body)
	f.headers.Reset()
}

// keep notes the answer's status and header; the body is read already.
func (f *failure) keep(a *upstream.Attempt, status int) {
	f.status = status
	a.Header().CopyTo(&f.headers)
}

// spokeError is an answer that is no success; it stands in x.failure.
type spokeError struct{ status int }

func (e *spokeError) Error() string { return "the provider answered " + strconv.Itoa(e.status) }

// garbageError is an answer that is none.
type garbageError struct{ err error }

func (e *garbageError) Error() string { return e.err.Error() }
func (e *garbageError) Unwrap() error { return e.err }

// judge decides what a failed attempt means for the provider's health, and
// whether another provider is asked. Before the commit point that costs the
// client nothing. What the provider said, if it spoke, stands in x.failure.
func (s *Server) judge(x *exchange, t *route.Target, err error) (again bool, final error) {
	var spoke *spokeError
	switch {
	case errors.Is(err, upstream.ErrBusy):
		// Not the provider's failure: it has as much to do as it was given.
	case !errors.As(err, &spoke):
		t.Provider.Failed(now())
		x.failure.reset()
	case spoke.status == 429:
		t.Provider.Client.RestUntil(now() + int64(retryAfter(&x.failure.headers, time.Now(), time.Second)))
	case spoke.status >= 500, spoke.status == 401, spoke.status == 403:
		t.Provider.Failed(now())
	default:
		t.Provider.Succeeded()
		return false, spoke
	}
	x.lastErr = err
	s.journal.attemptFailed(x, t, err)
	return true, nil
}

// giveUp makes the client's error when no provider is left to ask: what the
// last one said, or what became of it.
func (x *exchange) giveUp() error {
	err := x.lastErr
	var (
		spoke *spokeError
		up    *upstream.Error
	)
	switch {
	case err == nil:
		return openai.ErrNoHealthyProvider()
	case errors.As(err, &spoke) && (spoke.status == 401 || spoke.status == 403):
		return openai.ErrUpstreamAuth()
	case errors.As(err, &spoke):
		return spoke
	case errors.Is(err, upstream.ErrBusy):
		return openai.ErrOverloaded(time.Second)
	case errors.As(err, &up) && up.Timeout:
		return openai.ErrUpstreamTimeout(err)
	default:
		return openai.ErrUpstream(err)
	}
}

// reasonOf names the cause of a failed attempt for the metrics.
func reasonOf(err error) string {
	var (
		spoke *spokeError
		up    *upstream.Error
	)
	switch {
	case errors.As(err, &spoke):
		return statusReason(spoke.status)
	case errors.Is(err, upstream.ErrBusy):
		return "busy"
	case !errors.As(err, &up), errors.Is(err, upstream.ErrMalformed), errors.Is(err, upstream.ErrShortBody):
		return "invalid_answer"
	case up.Timeout:
		return "timeout"
	case up.Phase == upstream.Connect:
		return "connect"
	default:
		return "reset"
	}
}

func statusReason(status int) string {
	switch {
	case status == 429:
		return "rate_limited"
	case status == 401 || status == 403:
		return "auth"
	case status == 500:
		return "server_error"
	default:
		return "unavailable"
	}
}

// retryAfter reads how long the provider wants to be left alone: retry-after-ms,
// or Retry-After in seconds or as a date (RFC 9110, 10.2.3). It is at most a
// minute: a provider that says more is asked again sooner rather than never.
func retryAfter(h *fasthttp.ResponseHeader, now time.Time, otherwise time.Duration) time.Duration {
	wait := otherwise
	if ms, err := strconv.ParseFloat(string(h.Peek("Retry-After-Ms")), 64); err == nil {
		wait = time.Duration(ms * float64(time.Millisecond))
	} else if v := string(h.Peek(fasthttp.HeaderRetryAfter)); v != "" {
		if s, err := strconv.ParseFloat(v, 64); err == nil {
			wait = time.Duration(s * float64(time.Second))
		} else if at, err := fasthttp.ParseHTTPDate([]byte(v)); err == nil {
			wait = at.Sub(now)
		}
	}
	return min(max(wait, 0), time.Minute)
}
