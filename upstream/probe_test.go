package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A probe costs few tokens, speaks both spellings of their limit, and tells
// what went wrong without a word of the provider's or the key.
func TestProbe(t *testing.T) {
	f := func(name, model string, serve func(q asked) (status int, body string), want string, paths ...string) {
		t.Helper()
		var mu sync.Mutex
		var got []string
		p := provide(t, func(p *peer) {
			for {
				q, okay := p.request()
				if !okay {
					return
				}
				mu.Lock()
				got = append(got, strings.Fields(q.line)[1])
				mu.Unlock()
				status, body := serve(q)
				p.say(fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body))
			}
		})
		c := p.client()
		took, err := c.Probe(context.Background(), model, 5*time.Second)
		if text := fmt.Sprint(err); text != want || took <= 0 {
			t.Errorf("%s: got %q after %v, want %q", name, text, took, want)
		}
		p.stop()
		if strings.Join(got, " ") != strings.Join(paths, " ") {
			t.Errorf("%s: asked %v, want %v", name, got, paths)
		}
		if s := c.Stats(); s.Inflight != 0 {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	const chat, embeddings = "/v1/chat/completions", "/v1/embeddings"
	says := func(status int, body string) func(asked) (int, string) {
		return func(asked) (int, string) { return status, body }
	}
	f("fine", `gpt-"4"`, func(q asked) (int, string) {
		var body struct {
			Model     string
			MaxTokens int `json:"max_tokens"`
		}
		if json.Unmarshal([]byte(q.body), &body) != nil || body.Model != `gpt-"4"` || body.MaxTokens != 1 {
			return 422, "{}"
		}
		return 200, `{"choices":[]}`
	}, "<nil>", chat)
	f("knows max_completion_tokens only", "o3", func(q asked) (int, string) {
		if strings.Contains(q.body, `"max_tokens"`) {
			return 400, `{"error":{"code":"unsupported_parameter","message":"Use 'max_completion_tokens' instead."}}`
		}
		return 200, "{}"
	}, "<nil>", chat, chat)
	f("embeddings", "text-embedding-3-small", says(200, "{}"), "<nil>", embeddings)
	f("our key is wrong", "m", says(401, `{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: sk-test-key"}}`), "status 401, invalid_api_key", chat)
	f("a key for a code", "m", says(401, `{"error":{"code":"sk-test-key"}}`), "status 401", chat)
	f("a part of the key for a code", "m", says(401, `{"error":{"code":"test"}}`), "status 401", chat)
	f("a sentence for a code", "m", says(404, `{"error":{"code":"No such model, sir"}}`), "status 404", chat)
	f("a number for a code", "m", says(429, `{"error":{"code":429}}`), "status 429", chat)
	f("not JSON", "m", says(502, "<html>sk-test-key</html>"), "status 502", chat)
	f("redirect", "m", says(302, ""), "status 302", chat)
	f("no answer", "m", says(99, ""), "first_byte: answer is not HTTP/1.0 or 1.1", chat)
}

func TestProbeEnds(t *testing.T) {
	p := provide(t, (*peer).left)
	c := p.client()
	took, err := c.Probe(context.Background(), "m", 50*time.Millisecond)
	if err == nil || err.Error() != "no answer within 50ms" || took < 50*time.Millisecond {
		t.Errorf("got %v after %v", err, took)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = c.Probe(ctx, "m", time.Minute)
	var e *Error
	if !errors.As(err, &e) || !e.Cancelled {
		t.Errorf("got %v, want cancelled", err)
	}
	eventually(t, "the end of the probes", func() bool { return c.Stats().Inflight == 0 })
}
