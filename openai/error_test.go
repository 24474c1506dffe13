package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestErrorTable(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	f := func(e *Error, status int, kind, code, param string) {
		t.Helper()
		if e.Status != status || e.Type != kind || e.Code != code || e.Param != param {
			t.Errorf("%v: got %d %s/%s param %q, want %d %s/%s param %q", e, e.Status, e.Type, e.Code, e.Param, status, kind, code, param)
		}
		if len(e.Message) < 10 || !strings.HasSuffix(e.Message, ".") {
			t.Errorf("%v: message %q helps nobody", e, e.Message)
		}
	}

	f(ErrMissingKey(), 401, "invalid_request_error", "invalid_api_key", "")
	f(ErrCrossOrigin(), 403, "permission_error", "cross_origin", "")
	f(ErrOperatorsOnly(), 403, "permission_error", "cross_origin", "")
	f(ErrInvalidKey(), 401, "invalid_request_error", "invalid_api_key", "")
	f(ErrModelNotAllowed("gpt-4"), 403, "permission_error", "model_not_allowed", "model")
	f(ErrModelNotFound("gpt-4"), 404, "invalid_request_error", "model_not_found", "model")
	f(ErrModelMissing(), 400, "invalid_request_error", "", "model")
	f(ErrBody("n", "n must be a number."), 400, "invalid_request_error", "", "n")
	f(ErrTooLarge(32<<20), 413, "invalid_request_error", "request_too_large", "")
	f(ErrMalformed(408, "The request did not arrive in time."), 408, "invalid_request_error", "", "")
	f(ErrNotFound("GET", "/v2"), 404, "invalid_request_error", "", "")
	f(ErrMethod("PUT", "/v1/models"), 405, "invalid_request_error", "method_not_supported", "")
	f(ErrRateLimited(time.Second), 429, "rate_limit_error", "rate_limit_exceeded", "")
	f(ErrTokensLimited(time.Second), 429, "rate_limit_error", "rate_limit_exceeded", "")
	f(ErrTooManyAtOnce(time.Second), 429, "rate_limit_error", "concurrency_limit_exceeded", "")
	f(ErrQuota(), 429, "insufficient_quota", "insufficient_quota", "")
	f(ErrNotReady(), 503, "api_error", "not_ready", "")
	f(ErrOverloaded(time.Second), 503, "api_error", "overloaded", "")
	f(ErrUpstream(cause), 502, "api_error", "upstream_error", "")
	f(ErrUpstreamTimeout(cause), 504, "api_error", "upstream_timeout", "")
	f(ErrNoHealthyProvider(), 503, "api_error", "no_healthy_provider", "")
	f(ErrUpstreamAuth(), 502, "api_error", "upstream_auth_failed", "")
	f(ErrStreamCut(cause), 502, "api_error", "upstream_stream_error", "")
	f(ErrInternal(cause), 500, "api_error", "internal_error", "")

	if ErrRateLimited(3*time.Second).RetryAfter != 3*time.Second || ErrOverloaded(time.Second).RetryAfter != time.Second {
		t.Error("RetryAfter is lost")
	}
}

func TestErrorCauseIsForTheLog(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7:443: refused")
	e := ErrUpstream(cause)
	if !errors.Is(e, cause) {
		t.Error("the cause is lost")
	}
	if want := "502 api_error/upstream_error: " + e.Message + ": " + cause.Error(); e.Error() != want {
		t.Errorf("got %q, want %q", e.Error(), want)
	}
	if body := string(e.AppendEvent(nil)); strings.Contains(body, "10.0.0.7") {
		t.Errorf("the client sees the cause: %s", body)
	}
	if got := ErrBody("", "No.").Error(); got != "400 invalid_request_error: No." {
		t.Errorf("got %q", got)
	}
}

func TestAppendJSON(t *testing.T) {
	f := func(e *Error, want string) {
		t.Helper()
		if got := string(e.AppendJSON([]byte(">"))); got != ">"+want {
			t.Errorf("got  %s\nwant >%s", got, want)
		}
		if got := string(e.AppendEvent([]byte(">"))); got != ">data: "+want+"\n\n" {
			t.Errorf("got %q", got)
		}
	}

	f(&Error{Type: "api_error", Message: "A \"b\"\n\x01."}, `{"error":{"message":"A \"b\"\n\u0001.","type":"api_error","param":null,"code":null}}`)
	f(&Error{Type: "t", Code: "c", Param: "p", Message: "é\xff"}, `{"error":{"message":"é`+"\ufffd"+`","type":"t","param":"p","code":"c"}}`)
}

// Whatever a client sends, the answer is JSON on one line and short.
func TestErrorProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		for _, e := range []*Error{ErrModelNotFound(text), ErrModelNotAllowed(text), ErrNotFound("GET", text), ErrMethod(text, "/"), ErrBody(text, text)} {
			event := e.AppendEvent(nil)
			data, _ := EventData(event, nil)
			if strings.ContainsAny(string(data), "\r\n") || !strings.HasPrefix(string(event), `data: {"error":{`) {
				t.Fatalf("event %q", event)
			}
			var answer struct {
				Error struct{ Message, Type, Param, Code *string }
			}
			if err := json.Unmarshal(data, &answer); err != nil || !utf8.Valid(data) || !ValidJSON(data) {
				t.Fatalf("%q: %v", data, err)
			}
			if *answer.Error.Message != strings.ToValidUTF8(string([]rune(e.Message)), "") {
				t.Fatalf("message %q, want %q", *answer.Error.Message, e.Message)
			}
			var d Delta
			if d.Parse(data); !d.Failed || d.Finished {
				t.Fatalf("%q is no failure: %+v", data, d)
			}
		}
	})
}

func TestShorten(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := shorten(s); got != want {
			t.Errorf("shorten(%q) = %q, want %q", s, got, want)
		}
	}

	f("", "")
	f(strings.Repeat("m", 128), strings.Repeat("m", 128))
	f(strings.Repeat("m", 129), strings.Repeat("m", 125)+"…")
	f(strings.Repeat("漢", 50), strings.Repeat("漢", 41)+"…")
	f(strings.Repeat("\x80", 200), "…")
}
