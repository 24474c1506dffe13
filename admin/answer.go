package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/goccy/go-json"
	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/store"
)

// fault is an error with its answer. It carries nothing secret.
type fault struct {
	status int
	detail string
	wait   time.Duration // retry-after, if not 0
}

// Error implements error.
func (f *fault) Error() string { return f.detail }

var (
	errNoAdminKey = &fault{status: 503, detail: "the Admin API is off: set ADMIN_KEY"}
	errNotAdmin   = &fault{status: 401, detail: "the admin key is missing or wrong"}
	errNoSuchPath = &fault{status: 404, detail: "there is no such path"}
	errMethod     = &fault{status: 405, detail: "this path does not take this method"}
	errEncoded    = &fault{status: 415, detail: "a body must come without content-encoding"}
	errCutBody    = &fault{status: 400, detail: "the body did not arrive"}
	errStore      = &fault{status: 503, detail: "the configuration store cannot be reached"}
	errInternal   = &fault{status: 500, detail: "internal error"}
)

func tooManyGuesses(wait time.Duration) error {
	return &fault{status: 429, detail: "too many wrong admin keys", wait: wait}
}

func tooLarge(limit int) error {
	return &fault{status: 413, detail: fmt.Sprintf("a body may have at most %d bytes", limit)}
}

func noSuch(kind string, id string) error {
	return &fault{status: 404, detail: kind + " " + id + " does not exist"}
}

// about gives the store's errors their words: kind is "provider" or
// "credential", unique the field that may not be twice.
func about(kind, unique string, id int64, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noSuch(kind, strconv.FormatInt(id, 10))
	case errors.Is(err, store.ErrDuplicate):
		return &fault{status: 409, detail: "a " + kind + " with this " + unique + " exists already"}
	}
	return err
}

// failure is the body of every refusal. Valid and Message are there for
// auth/validate only.
type failure struct {
	Valid   *bool           `json:"valid,omitempty"`
	Message string          `json:"message,omitempty"`
	Detail  string          `json:"detail"`
	Errors  config.Problems `json:"errors,omitempty"`
}

// fail is the one place where an error becomes an answer.
func (a *API) fail(ctx *fasthttp.RequestCtx, err error) {
	f, problems := a.explain(ctx, err)
	body := failure{Detail: f.detail, Errors: problems}
	if string(ctx.URI().PathOriginal()) == pathValidate && (f.status == 401 || f.status == 429) {
		body.Valid, body.Message = new(bool), f.detail
	}
	if f.wait > 0 {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(f.wait.Seconds()))))
		ctx.SetConnectionClose()
	}
	if f.status == 413 || f.status == 400 {
		ctx.SetConnectionClose() // the rest of the body is not waited for
		downstream.LingerOnClose(ctx.Conn())
	}
	writeJSON(ctx, f.status, body)
}

// explain finds the answer for an error. What is left over is the store's,
// whose errors hold no secret: it is logged, and the client learns whether to
// try again or which row to mend.
func (a *API) explain(ctx *fasthttp.RequestCtx, err error) (*fault, config.Problems) {
	var f *fault
	if errors.As(err, &f) {
		return f, nil
	}
	var problems config.Problems
	if errors.As(err, &problems) {
		return &fault{status: 422, detail: problems.Error()}, problems
	}
	a.Log.Error("configuration store failed", "request_id", requestID(ctx), "error", err.Error())
	if isOutage(err) {
		return errStore, nil
	}
	return &fault{status: 500, detail: "the configuration store: " + err.Error()}, nil
}

// isOutage reports whether the same call may succeed later.
func isOutage(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// writeJSON writes the whole answer. Nothing here may be kept by a cache or
// taken for something else by a browser.
func writeJSON(ctx *fasthttp.RequestCtx, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic("BUG: an answer of the Admin API does not encode: " + err.Error())
	}
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	ctx.SetContentType("application/json")
	ctx.SetStatusCode(status)
	ctx.SetBody(append(b, '\n'))
}
