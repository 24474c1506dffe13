package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// probeAnswerMax bounds what of a refusal is looked at.
const probeAnswerMax = 64 << 10

// Probe asks the provider for one token of the model, as a client would, and
// returns how long its answer took. The error's text says what went wrong in
// the gateway's own words: nothing of the answer but its status and error code.
func (c *Client) Probe(ctx context.Context, model string, timeout time.Duration) (time.Duration, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	began := time.Now()
	err := c.probe(ctx, model)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("no answer within %v", timeout)
	}
	return time.Since(began), err
}

func (c *Client) probe(ctx context.Context, model string) error {
	if strings.Contains(strings.ToLower(model), "embed") {
		return c.ask(ctx, "/embeddings", embeddingProbe{model, "ping"})
	}
	hello := []chatMessage{{"user", "ping"}}
	err := c.ask(ctx, "/chat/completions", chatProbe{Model: model, Messages: hello, MaxTokens: 1})
	var refused *probeRefused
	if errors.As(err, &refused) && refused.wantsCompletionTokens {
		err = c.ask(ctx, "/chat/completions", chatProbe{Model: model, Messages: hello, MaxCompletionTokens: 16})
	}
	return err
}

type chatProbe struct {
	Model               string        `json:"model"`
	Messages            []chatMessage `json:"messages"`
	MaxTokens           int           `json:"max_tokens,omitempty"`
	MaxCompletionTokens int           `json:"max_completion_tokens,omitempty"`
}

type chatMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type embeddingProbe struct {
	Model string `json:"model"`
	Input string `json:"input"`
}

// ask sends one probe.
func (c *Client) ask(ctx context.Context, path string, probe any) error {
	body, err := json.Marshal(probe)
	if err != nil {
		panic("BUG: a probe that is not JSON")
	}
	return c.call(ctx, &Request{
		Method: "POST", Path: path, ContentType: []byte("application/json"), Body: [][]byte{body},
	})
}

// Get asks the provider for a path under its APIBase, as a sign of life.
// Anything but a success is an error, which quotes nothing of the answer but
// its status and error code.
func (c *Client) Get(ctx context.Context, path string) error {
	return c.call(ctx, &Request{Method: "GET", Path: path})
}

// call sends a request and judges the answer by its status.
func (c *Client) call(ctx context.Context, q *Request) error {
	var a Attempt
	stop := context.AfterFunc(ctx, func() { a.Cancel(Deadline) })
	defer stop()
	defer a.Close()
	if err := a.Send(c, q); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(&a, probeAnswerMax))
	switch status := a.Status(); {
	case status < 200 || status > 299:
		return c.refusal(status, answer)
	default:
		return err
	}
}

// probeRefused is a provider's answer other than 2xx.
type probeRefused struct {
	status int
	code   string
	// The model is one of those that know max_tokens no more.
	wantsCompletionTokens bool
}

func (e *probeRefused) Error() string {
	if e.code == "" {
		return fmt.Sprintf("status %d", e.status)
	}
	return fmt.Sprintf("status %d, %s", e.status, e.code)
}

// Refusal returns the status of a provider that answered a Probe or Get with
// something else than a success; 0 if it did not answer.
func Refusal(err error) (status int) {
	var refused *probeRefused
	if errors.As(err, &refused) {
		return refused.status
	}
	return 0
}

// refusal keeps of an error answer its status and its code, if that is one.
func (c *Client) refusal(status int, answer []byte) error {
	var said struct {
		Error struct {
			Code any `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(answer, &said) // not JSON: no code
	code, _ := said.Error.Code.(string)
	if !identifier(code) || strings.Contains(c.settings.APIKey, code) {
		code = ""
	}
	return &probeRefused{
		status: status, code: code,
		wantsCompletionTokens: status == 400 && strings.Contains(string(answer), "max_completion_tokens"),
	}
}

// identifier reports whether s is a word such as model_not_found, and so
// neither a sentence nor a key.
func identifier(s string) bool {
	for _, r := range s {
		if r != '_' && (r < 'a' || r > 'z') {
			return false
		}
	}
	return len(s) <= 64
}
