package sdk

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"llmproxy/internal/fakeprovider"
)

// refused makes a request that must fail and returns the typed error.
func refused(t *testing.T, client *openai.Client, params openai.ChatCompletionNewParams) *openai.Error {
	t.Helper()
	got, err := client.Chat.Completions.New(bounded(t), params)
	var typed *openai.Error
	if !errors.As(err, &typed) {
		t.Fatalf("got %+v, %v, want a typed error", got, err)
	}
	if typed.Message == "" || typed.Type == "" {
		t.Errorf("the error is not in OpenAI's shape: %s", typed.DumpResponse(true))
	}
	return typed
}

func TestProvidersErrorsPassThrough(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		for _, status := range []int{400, 404, 409, 413, 422, 500, 503} {
			x.fake.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
				return fakeprovider.Fail(status, "fake_code", "the provider's own words")
			})
			if e := refused(t, x.client(t), x.ask()); e.StatusCode != status || e.Code != "fake_code" || e.Message != "the provider's own words" {
				t.Errorf("%d: got %d %s", status, e.StatusCode, e.RawJSON())
			}
		}
	})
}

func TestProvidersRateLimitPassesThrough(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.fake.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Limited(4 * time.Second) })
		e := refused(t, x.client(t), x.ask())
		if h := e.Response.Header; e.StatusCode != 429 || h.Get("Retry-After") != "4" || h.Get("Retry-After-Ms") != "4000" {
			t.Errorf("got %d, %v", e.StatusCode, h)
		}
	})
}

// TestClientRetriesWhenTold: the SDK waits as long as Retry-After says.
func TestClientRetriesWhenTold(t *testing.T) {
	x := direct(t)
	x.fake.Script(fakeprovider.Limited(50 * time.Millisecond))
	start := time.Now()
	if _, err := x.client(t, option.WithMaxRetries(2)).Chat.Completions.New(bounded(t), x.ask()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 50*time.Millisecond || x.fake.Count() != 2 {
		t.Errorf("%d requests in %v", x.fake.Count(), took)
	}

	x = gateway(t)
	x.key, _ = x.gateway.AddCredential(t, map[string]any{"name": "slow", "rate_limit": 1})
	client := x.client(t, option.WithMaxRetries(2))
	for i := range 2 {
		start = time.Now()
		if _, err := client.Chat.Completions.New(bounded(t), x.ask()); err != nil {
			t.Fatalf("request %d after %v: %v", i, time.Since(start), err)
		}
	}
	if n := x.gateway.Metric(t, `llm_proxy_rate_limited_total{api_key_name="slow"}`); n < 1 {
		t.Errorf("the second request came too late to be limited: %v were", n)
	}
}

func TestGatewaysOwnErrors(t *testing.T) {
	x := gateway(t, "MAX_BODY_BYTES=64KiB")
	f := func(name, key, model, prompt string, status int, kind, code string) *openai.Error {
		t.Helper()
		params := x.ask()
		params.Model = model
		if prompt != "" {
			params.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)}
		}
		e := refused(t, x.client(t, option.WithAPIKey(key)), params)
		if e.StatusCode != status || e.Type != kind || e.Code != code {
			t.Errorf("%s: got %d %s, want %d %s %s", name, e.StatusCode, e.RawJSON(), status, kind, code)
		}
		if e.Response.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", name)
		}
		return e
	}
	narrow, _ := x.gateway.AddCredential(t, map[string]any{"name": "narrow", "allowed_models": []string{"other*"}})
	closed, _ := x.gateway.AddCredential(t, map[string]any{"name": "closed", "rate_limit": 0})
	off, _ := x.gateway.AddCredential(t, map[string]any{"name": "off", "is_enabled": false})
	f("unknown key", "sk-nobody", x.model, "", 401, "invalid_request_error", "invalid_api_key")
	f("disabled key", off, x.model, "", 401, "invalid_request_error", "invalid_api_key")
	f("model not allowed", narrow, x.model, "", 403, "permission_error", "model_not_allowed")
	f("model that nobody serves", x.key, "nobody/serves-this", "", 404, "invalid_request_error", "model_not_found")
	f("too large", x.key, x.model, strings.Repeat("x", 128<<10), 413, "invalid_request_error", "request_too_large")
	if e := f("rate limit", closed, x.model, "", 429, "rate_limit_error", "rate_limit_exceeded"); e.Response.Header.Get("Retry-After") == "" || e.Response.Header.Get("X-Ratelimit-Limit-Requests") != "0" {
		t.Errorf("rate limit: header %v", e.Response.Header)
	}
	if x.fake.Count() != 0 {
		t.Errorf("%d of them reached the provider", x.fake.Count())
	}
	x.fake.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Fail(401, "invalid_api_key", "Incorrect API key provided: "+x.fake.Last().Key())
	})
	f("our key refused", x.key, x.model, "", 502, "api_error", "upstream_auth_failed")
}

func TestBodiesThatAreNoRequest(t *testing.T) {
	x := gateway(t)
	f := func(body string, param string) {
		t.Helper()
		_, err := x.client(t).Chat.Completions.New(bounded(t), x.ask(), option.WithRequestBody("application/json", []byte(body)))
		var typed *openai.Error
		if !errors.As(err, &typed) || typed.StatusCode != 400 || typed.Param != param || typed.Type != "invalid_request_error" {
			t.Errorf("%s: got %v, want 400 with param %q", body, err, param)
		}
	}
	f(`{"messages":[]}`, "model")
	f(`{"model":7}`, "model")
	f(`{"model":"a","model":"b"}`, "model")
	f(`{"model":"a"`, "")
	f(`[]`, "")
	f(`hello`, "")
}

func TestUnreachableProvider(t *testing.T) {
	x := gateway(t)
	x.gateway.AddProvider(t, map[string]any{
		"provider_key": "gone", "api_base": "http://" + fakeprovider.Refusing(t) + "/v1",
		"model_mapping": map[string]string{"gone-model": "m"},
	})
	params := x.ask()
	params.Model = "gone-model"
	if e := refused(t, x.client(t), params); e.StatusCode != http.StatusBadGateway || e.Code != "upstream_error" {
		t.Errorf("got %d %s", e.StatusCode, e.RawJSON())
	}
}
