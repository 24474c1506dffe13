package server

import (
	"context"
	"strings"
	"testing"

	"llmproxy/openai"
	"llmproxy/tokens"
)

// What a body says is counted by OpenAI's recipes, whatever endpoint it is for.
func TestPromptTokens(t *testing.T) {
	pool := tokens.NewPool(tokens.Options{Workers: 1})
	defer pool.Close(context.Background())
	count := func(body string, items bool) tokens.Count {
		var q openai.Request
		if err := q.Parse([]byte(body)); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		done := make(chan tokens.Count, 1)
		pool.Submit(tokens.Job{
			Model:  string(q.Model),
			Prompt: func(t *tokens.Tally) { tallyPrompt(t, &q, []byte(body), items) },
			Done:   func(prompt, _ tokens.Count) { done <- prompt },
		})
		return <-done
	}
	check := func(body string, items bool, want int64, estimated bool) {
		t.Helper()
		if got := count(body, items); got != (tokens.Count{Tokens: want, Estimated: estimated}) {
			t.Errorf("%s\n got %+v, want %d, estimated %t", body, got, want, estimated)
		}
	}
	f := func(body string, want int64, estimated bool) { t.Helper(); check(body, false, want, estimated) }

	// The cookbook's example of functions, with the numbers of OpenAI's API.
	weather := `{"model":"MODEL","messages":[{"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},
		{"role":"user","content":"What's the weather like in Pittsburgh today?"}],
		"tools":[{"type":"function","function":{"name":"get_current_weather","description":"Get the current weather in a given location",
		"parameters":{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},
		"unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},"required":["location"]}}}]}`
	f(strings.Replace(weather, "MODEL", "gpt-4", 1), 105, false)
	f(strings.Replace(weather, "MODEL", "gpt-4o", 1), 101, false)

	// names, contents of several parts, images
	f(`{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`, 3+1+1+3, false)
	f(`{"model":"gpt-4o","messages":[{"role":"user","name":"bob","content":"hi"}]}`, 3+1+1+1+1+3, false)
	f(`{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"https://a.b/c.png","detail":"low"}}]}]}`, 3+1+1+85+3, false)
	f(`{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.b/c.png","detail":"high"}}]}]}`, 3+1+765+3, true)
	f(`{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlhAQABAAAAACw=","detail":"high"}}]}]}`, 3+1+85+170+3, false)
	f(`{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA"}},{"type":"text","text":"hi"}]}]}`, 3+1+1+3, true)

	// prompts and inputs: texts, several of them, token numbers
	f(`{"model":"davinci-002","prompt":"hi"}`, 1, false)
	f(`{"model":"davinci-002","prompt":["hi","hi"]}`, 2, false)
	f(`{"model":"davinci-002","prompt":[[1,2],[3]]}`, 3, false)
	f(`{"model":"text-embedding-3-small","input":["hi","hi"]}`, 2, false)
	f(`{"model":"text-embedding-3-small","input":[5,6,7,8]}`, 4, false)

	// the Responses API: a string is a message, and so are instructions
	check(`{"model":"gpt-4o","input":"hi"}`, true, 3+1+1+3, false)
	check(`{"model":"gpt-4o","input":"hi","instructions":"hi"}`, true, 2*(3+1+1)+3, false)
	check(`{"model":"gpt-4o","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}`, true, 3+1+1+3, false)
}

// A full queue's estimate does not take an image for a million words.
func TestEstimateOfFiles(t *testing.T) {
	body := `{"image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 4<<20) + `"}}`
	if got := estimatePrompt("gpt-4o", []byte(body)); got.Tokens < 765 || got.Tokens > 800 || !got.Estimated {
		t.Errorf("got %+v, want an image and a few bytes", got)
	}
}
