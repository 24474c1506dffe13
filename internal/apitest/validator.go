package apitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// Exchange is one request and its answer.
type Exchange struct {
	Method        string
	Path          string // with its query: "/v1/models?x=1"
	RequestHeader http.Header
	RequestBody   []byte

	Status int
	Header http.Header
	Body   []byte

	// Passed says that the body is a provider's own, passed through: the
	// gateway's description of errors does not bind it.
	Passed bool
}

// Validator checks exchanges. It may be used by many goroutines.
type Validator struct{}

// NewValidator returns a Validator for the gateway's own description.
func NewValidator(t testing.TB) *Validator {
	t.Helper()
	describeTexts()
	description()
	return &Validator{}
}

// Check fails the test if the exchange is not as described.
func (v *Validator) Check(t testing.TB, x Exchange) {
	t.Helper()
	if err := v.check(x); err != nil {
		t.Errorf("%s %s answered %d, not as openapi.yaml says: %v\nanswer: %.500s", x.Method, x.Path, x.Status, err, x.Body)
	}
}

// Client returns a client that checks every exchange it makes, whole answers
// only: it reads a stream to its end before it hands it on.
func (v *Validator) Client(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     checked{v: v, t: t, next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checked is the transport of such a client.
type checked struct {
	v    *Validator
	t    testing.TB
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c checked) RoundTrip(req *http.Request) (*http.Response, error) {
	c.t.Helper()
	x := Exchange{Method: req.Method, Path: req.URL.RequestURI(), RequestHeader: req.Header}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		_ = req.Body.Close()
		x.RequestBody, req.Body = body, io.NopCloser(bytes.NewReader(body))
	}
	res, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if x.Body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(x.Body))
	x.Status, x.Header = res.StatusCode, res.Header
	c.v.Check(c.t, x)
	return res, nil
}

func (v *Validator) check(x Exchange) error {
	path, _, _ := strings.Cut(x.Path, "?")
	route, params := find(x.Method, path)
	if route == nil {
		return undescribed(x)
	}
	req, err := http.NewRequest(x.Method, "http://gateway"+x.Path, bytes.NewReader(x.RequestBody))
	if err != nil {
		return err
	}
	req.Header = x.RequestHeader.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options(x)}
	if x.Status < 400 { // what was refused may well not be as described
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			return fmt.Errorf("it accepted a request: %w", err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: x.Status, Header: x.Header, Options: options(x),
	}
	return openapi3filter.ValidateResponse(context.Background(), answer.SetBodyBytes(x.Body))
}

// undescribed checks the answer to a request that the description does not
// know: it must be a refusal.
func undescribed(x Exchange) error {
	switch x.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized, http.StatusBadRequest:
		return nil
	}
	return fmt.Errorf("no such operation is described")
}

func options(x Exchange) *openapi3filter.Options {
	o := &openapi3filter.Options{
		IncludeResponseStatus: true,
		ExcludeResponseBody:   x.Passed,
		SkipSettingDefaults:   true,
		MultiError:            true,
		// Who may ask is the gateway's own business, and its own tests'.
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	o.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string { // the usual text repeats schema and value
		return fmt.Sprintf("/%s: %s", strings.Join(err.JSONPointer(), "/"), err.Reason)
	})
	return o
}

// describeTexts teaches the filter the text formats that it does not know.
var describeTexts = sync.OnceFunc(func() {
	for _, kind := range []string{
		"text/event-stream", "text/html", "text/css", "text/javascript", "image/svg+xml",
		"audio/mpeg", "audio/wav", "audio/opus", "audio/aac", "audio/flac",
	} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
})
