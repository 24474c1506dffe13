// Package sdk drives the gateway with OpenAI's own clients, in Go and in
// Node, for whoever changes only the base URL.
//
// Every test runs against two targets: the fake provider itself, which proves
// that the test asks for what OpenAI gives, and the gateway before the fake
// provider, which must not be told from it.
package sdk

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// upstreamModel is the provider's name of the model; clients of the gateway
// know it as publicModel.
const (
	upstreamModel = "fake-model"
	publicModel   = "vendor/public-model"
)

func TestMain(m *testing.M) {
	code := gatewaytest.Run(pgtest.Run(m))
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// target is what the SDKs are pointed at.
type target struct {
	base    string // ends in /v1
	key     string
	model   string
	fake    *fakeprovider.Provider
	gateway *gatewaytest.Gateway // nil when the target is the fake itself
}

// against runs a test on both targets.
func against(t *testing.T, f func(t *testing.T, x *target)) {
	t.Run("direct", func(t *testing.T) { f(t, direct(t)) })
	t.Run("gateway", func(t *testing.T) { f(t, gateway(t)) })
}

func direct(t *testing.T) *target {
	key := gatewaytest.NewCanary("provider")
	fake := fakeprovider.Start(t, fakeprovider.Options{Key: key})
	return &target{base: fake.URL(), key: key, model: upstreamModel, fake: fake}
}

// gateway starts a gateway with these settings before a fake provider that
// serves one model.
func gateway(t *testing.T, settings ...string) *target {
	env := map[string]string{}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	key := gatewaytest.NewCanary("provider")
	fake := fakeprovider.Start(t, fakeprovider.Options{Key: key})
	g := gatewaytest.Start(t, gatewaytest.Options{Env: env})
	g.Canary(secretPrompt, secretAnswer)
	g.AddProvider(t, map[string]any{
		"provider_key": "fake", "api_base": fake.URL(), "api_key": key,
		"model_mapping": map[string]string{publicModel: upstreamModel},
	})
	return &target{base: g.URL + "/v1", key: g.Key(t), model: publicModel, fake: fake, gateway: g}
}

// What the tests ask and hear must not be found in anything the gateway says.
const (
	secretPrompt = "canary-prompt: what is the capital of France?"
	secretAnswer = "canary-answer: Paris."
)

// client is an SDK client that does not retry, unless told so.
func (x *target) client(t *testing.T, opts ...option.RequestOption) *openai.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	client := openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(x.base), option.WithAPIKey(x.key), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: tr}),
	}, opts...)...)
	return &client
}

// sent is an option that copies the body that the SDK sends.
func sent(body *[]byte) option.RequestOption {
	return option.WithMiddleware(func(q *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			return nil, err
		}
		*body = b
		q.Body = io.NopCloser(bytes.NewReader(b))
		return next(q)
	})
}

// sameBytes demands that the provider saw what the SDK sent, but for the name
// of the model.
func (x *target) sameBytes(t *testing.T, body []byte) {
	t.Helper()
	want := bytes.Replace(body, []byte(`"`+x.model+`"`), []byte(`"`+upstreamModel+`"`), 1)
	if got := x.fake.Last().Body; !bytes.Equal(got, want) {
		t.Errorf("the provider saw\n%s\nwant\n%s", got, want)
	}
}

// ask is a chat request with one question.
func (x *target) ask() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    x.model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(secretPrompt)},
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// answering lets the fake say the secret answer, in pieces.
func (x *target) answering(y fakeprovider.Reply) {
	if y.Text == nil && y.Calls == nil {
		y.Text = strings.SplitAfter(secretAnswer, " ")
	}
	x.fake.Handle(y.Answer)
}
