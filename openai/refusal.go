package openai

import (
	"strconv"
	"time"
)

// What the type of an error may be.
const (
	typeRequest    = "invalid_request_error"
	typePermission = "permission_error"
	typeRate       = "rate_limit_error"
	typeAPI        = "api_error"
)

// ErrMissingKey refuses a request without a client key.
func ErrMissingKey() *Error {
	return &Error{
		Status: 401, Type: typeRequest, Code: "invalid_api_key",
		Message: "No API key was sent. Send one of this gateway's keys in the header Authorization: Bearer KEY.",
	}
}

// ErrInvalidKey refuses a key that is malformed, unknown, disabled or expired. It does
// not say which.
func ErrInvalidKey() *Error {
	return &Error{
		Status: 401, Type: typeRequest, Code: "invalid_api_key",
		Message: "The API key is not one of this gateway's keys, it is disabled, or it has expired.",
	}
}

// ErrCrossOrigin refuses a browser's request for a page of another origin,
// where no key says that its user meant it.
func ErrCrossOrigin() *Error {
	return &Error{
		Status: 403, Type: typePermission, Code: "cross_origin",
		Message: "This gateway asks for no key, so that pages of other origins may not use it. Give it a key, or call it from its own origin.",
	}
}

// ErrOperatorsOnly refuses a page of another origin what is for operators.
func ErrOperatorsOnly() *Error {
	return &Error{
		Status: 403, Type: typePermission, Code: "cross_origin",
		Message: "This listener is for operators: pages of other origins may not use it, and on the loopback its name is localhost or an address.",
	}
}

// ErrModelNotAllowed refuses a model that the key may not use.
func ErrModelNotAllowed(model string) *Error {
	return &Error{
		Status: 403, Type: typePermission, Code: "model_not_allowed", Param: "model",
		Message: "This API key may not use the model `" + shorten(model) + "`.",
	}
}

// ErrModelNotFound refuses a model that nobody serves.
func ErrModelNotFound(model string) *Error {
	return &Error{
		Status: 404, Type: typeRequest, Code: "model_not_found", Param: "model",
		Message: "The model `" + shorten(model) + "` does not exist here. GET /v1/models lists those that do.",
	}
}

// ErrModelMissing refuses a body without model where one is needed.
func ErrModelMissing() *Error {
	return ErrBody("model", "model is missing: name the model to use.")
}

// ErrBody refuses a body. param names the member at fault; "" is the body
// itself.
func ErrBody(param, message string) *Error {
	return &Error{Status: 400, Type: typeRequest, Param: param, Message: message}
}

// errBroken refuses a body that is no JSON. param is the member it was in.
func errBroken(c *cursor, param string) *Error {
	switch c.fault {
	case faultEmpty:
		return ErrBody("", "The request body is empty: send a JSON object.")
	case faultDepth:
		return ErrBody(param, "The request body cannot be used: "+c.fault.String()+".")
	}
	return ErrBody("", "The request body is not valid JSON: "+c.fault.String()+" (at byte "+strconv.Itoa(c.i)+").")
}

// errTwice refuses a body in which a member that matters stands twice: which
// one counts would be anybody's guess.
func errTwice(param string) *Error {
	return ErrBody(param, param+" stands more than once in the request body.")
}

// ErrTooLarge refuses a body over the limit of so many bytes.
func ErrTooLarge(limit int64) *Error {
	return &Error{
		Status: 413, Type: typeRequest, Code: "request_too_large",
		Message: "The request body is larger than the " + strconv.FormatInt(limit, 10) + " bytes that are taken here.",
	}
}

// ErrMalformed refuses a request whose HTTP is at fault, not its body.
func ErrMalformed(status int, message string) *Error {
	return &Error{Status: status, Type: typeRequest, Message: message}
}

// ErrNotFound answers for a path that there is not.
func ErrNotFound(method, path string) *Error {
	return &Error{
		Status: 404, Type: typeRequest,
		Message: "There is nothing at " + shorten(method) + " " + shorten(path) + ".",
	}
}

// ErrMethod answers for a path that there is, but not for this method.
func ErrMethod(method, path string) *Error {
	return &Error{
		Status: 405, Type: typeRequest, Code: "method_not_supported",
		Message: shorten(path) + " does not take " + shorten(method) + ". The header Allow says what it takes.",
	}
}

// ErrRateLimited refuses a request over the key's rate.
func ErrRateLimited(after time.Duration) *Error {
	return &Error{
		Status: 429, Type: typeRate, Code: "rate_limit_exceeded", RetryAfter: after,
		Message: "This API key has used up its requests per second. Try again after the time in the header Retry-After.",
	}
}

// ErrTokensLimited refuses a request over the key's tokens per minute.
func ErrTokensLimited(after time.Duration) *Error {
	return &Error{
		Status: 429, Type: typeRate, Code: "rate_limit_exceeded", RetryAfter: after,
		Message: "This API key has used up its tokens per minute. Try again after the time in the header Retry-After, or ask for fewer with max_tokens.",
	}
}

// ErrTooManyAtOnce refuses a request over the key's number at once.
func ErrTooManyAtOnce(after time.Duration) *Error {
	return &Error{
		Status: 429, Type: typeRate, Code: "concurrency_limit_exceeded", RetryAfter: after,
		Message: "This API key has as many requests under way as it may have at once. Try again when one has ended.",
	}
}

// ErrQuota refuses a request that the key's budget does not pay for. It has no
// Retry-After on purpose: a period may be long, and SDKs wait what they are told.
func ErrQuota() *Error {
	return &Error{
		Status: 429, Type: "insufficient_quota", Code: "insufficient_quota",
		Message: "This API key's budget does not cover the request. Ask whoever runs this gateway for more, or ask for fewer tokens with max_tokens.",
	}
}

// ErrOverloaded refuses a request because the gateway is full or draining.
func ErrOverloaded(after time.Duration) *Error {
	return &Error{
		Status: 503, Type: typeAPI, Code: "overloaded", RetryAfter: after,
		Message: "The gateway cannot take more requests at the moment. Try again shortly.",
	}
}

// ErrNotReady refuses every request while there is no configuration yet: the
// client's key may be good, so nobody may say that it is not.
func ErrNotReady() *Error {
	return &Error{
		Status: 503, Type: typeAPI, Code: "not_ready", RetryAfter: 2 * time.Second,
		Message: "The gateway has no configuration yet: its database cannot be reached. Try again shortly.",
	}
}

// ErrUpstream says that no provider gave an answer.
func ErrUpstream(cause error) *Error {
	return &Error{
		Status: 502, Type: typeAPI, Code: "upstream_error", Cause: cause,
		Message: "The model's provider could not be reached or gave no valid answer.",
	}
}

// ErrUpstreamTimeout says that no provider answered in time.
func ErrUpstreamTimeout(cause error) *Error {
	return &Error{
		Status: 504, Type: typeAPI, Code: "upstream_timeout", Cause: cause,
		Message: "The model's provider did not answer in time.",
	}
}

// ErrNoHealthyProvider says that all providers of the model are resting after
// failures.
func ErrNoHealthyProvider() *Error {
	return &Error{
		Status: 503, Type: typeAPI, Code: "no_healthy_provider",
		Message: "None of the model's providers is available at the moment. Try again shortly.",
	}
}

// ErrUpstreamAuth says that the provider refuses the gateway's key. It is not
// a 401: the client's key is in order.
func ErrUpstreamAuth() *Error {
	return &Error{
		Status: 502, Type: typeAPI, Code: "upstream_auth_failed",
		Message: "The model's provider refuses the gateway's own credentials. Your API key is in order; tell the gateway's operator.",
	}
}

// ErrStreamCut ends a stream that the provider did not finish. The answer's
// head is long gone then: only AppendEvent reaches the client.
func ErrStreamCut(cause error) *Error {
	return &Error{
		Status: 502, Type: typeAPI, Code: "upstream_stream_error", Cause: cause,
		Message: "The model's provider broke off in the middle of its answer, which is incomplete.",
	}
}

// ErrNoUsage says that this gateway does not write down what its keys use.
func ErrNoUsage() *Error {
	return &Error{
		Status: 503, Type: typeAPI, Code: "usage_unavailable",
		Message: "This gateway keeps no usage ledger (USAGE_LEDGER is off).",
	}
}

// ErrUsageUnavailable says that nobody can tell at the moment what a key has used.
func ErrUsageUnavailable(cause error) *Error {
	return &Error{
		Status: 503, Type: typeAPI, Code: "usage_unavailable", RetryAfter: 5 * time.Second, Cause: cause,
		Message: "The usage of this key cannot be read at the moment. Try again shortly; requests are served all the same.",
	}
}

// ErrInternal says that the gateway itself went wrong.
func ErrInternal(cause error) *Error {
	return &Error{
		Status: 500, Type: typeAPI, Code: "internal_error", Cause: cause,
		Message: "The gateway ran into an error of its own.",
	}
}
