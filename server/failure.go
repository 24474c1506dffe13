package server

import (
	"errors"
	"strconv"
	"time"

	"llmproxy/openai"
	"llmproxy/upstream"
)

// failure is the last provider's error answer. It is the client's when no
// other provider is left, or when it is the client's own fault.
type failure struct {
	body    []byte
	headers upstream.Header
}

func (f *failure) reset() {
	f.body = kept(f.body)
	f.headers.Reset()
}

// spokeError is an answer that is no success; it stands in x.failure.
type spokeError struct{ status int }

func (e *spokeError) Error() string { return "the provider answered " + strconv.Itoa(e.status) }

// garbageError is an answer that is none.
type garbageError struct{ err error }

func (e *garbageError) Error() string { return e.err.Error() }
func (e *garbageError) Unwrap() error { return e.err }

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
		x.s.metrics.Overloaded("providers_full")
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
