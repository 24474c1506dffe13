package openai

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseUsage(t *testing.T) {
	f := func(body string, want Usage, found bool) {
		t.Helper()
		got, ok := ParseUsage([]byte(body))
		if got != want || ok != found {
			t.Errorf("ParseUsage(%.200s) = %+v, %v; want %+v, %v", body, got, ok, want, found)
		}
	}

	// what the endpoints answer
	f(`{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"\"usage\":{\"prompt_tokens\":9}"},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
		"prompt_tokens_details":{"cached_tokens":5,"audio_tokens":0},
		"completion_tokens_details":{"reasoning_tokens":7,"audio_tokens":0,"accepted_prediction_tokens":0}},"service_tier":"default"}`,
		Usage{19, 10, 5, 7}, true)
	f(`{"object":"list","data":[{"embedding":[0.1,-2e-5]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`, Usage{Prompt: 8}, true)
	f(`{"id":"resp_1","output":[],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":1},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":123}}`,
		Usage{36, 87, 1, 2}, true)
	f(`{"results":[],"usage":{"total_tokens":15}}`, Usage{Prompt: 15}, true)
	f(`{"us\u0061ge":{"prompt_\u0074okens":1,"completion_tokens_detail\u0073":{"reasoning_tokens":3}}}`, Usage{Prompt: 1, Reasoning: 3}, true)
	f(`{"usage":{"prompt_tokens":10,"input_tokens":0,"output_tokens":4,"completion_tokens":0,"input_tokens_details":null}}`, Usage{Prompt: 10, Completion: 4}, true)
	f(`{"usage":{"prompt_tokens":0,"completion_tokens":0}}`, Usage{}, true)

	// what counts for nothing
	f(`{"usage":null}`, Usage{}, false)
	f(`{"usage":{}}`, Usage{}, false)
	f(`{"usage":[]}`, Usage{}, false)
	f(`{"usage":5}`, Usage{}, false)
	f(`{"Usage":{"prompt_tokens":1}}`, Usage{}, false)
	f(`{"response":{"usage":{"prompt_tokens":1}}}`, Usage{}, false)
	f(`{"choices":[{"usage":{"prompt_tokens":1}}]}`, Usage{}, false)
	f(`{"usage":{"prompt_tokens":-1,"completion_tokens":1.5,"total_tokens":0}}`, Usage{}, false)
	f(`{"usage":{"prompt_tokens":"1","completion_tokens":1e3}}`, Usage{}, false)
	f(`{"usage":{"prompt_tokens":1099511627777,"completion_tokens":2}}`, Usage{Completion: 2}, true)
	f(`{"usage":{"prompt_tokens":3,"completion_tokens":99999999999999999999,"prompt_tokens_details":{"cached_tokens":-3}}}`, Usage{Prompt: 3}, true)
	f(`{"usage":{"prompt_tokens":3,"prompt_tokens_details":[],"completion_tokens_details":4}}`, Usage{Prompt: 3}, true)

	// no answer at all
	f(``, Usage{}, false)
	f(`null`, Usage{}, false)
	f(`[{"usage":{"prompt_tokens":1}}]`, Usage{}, false)
	f(`<html>"usage":{"prompt_tokens":1}</html>`, Usage{}, false)
	f(`{"usage":{"prompt_tokens":1`, Usage{}, false)
	f(`{"usage":{"prompt_tokens":1}`, Usage{Prompt: 1}, true) // the count is whole
	f(`{"a" "usage":{"prompt_tokens":1}}`, Usage{}, false)
	f(strings.Repeat(`{"usage":`, 1000), Usage{}, false)
}

// FuzzUsage: no bytes make it panic, and in a valid answer it finds what
// encoding/json finds.
func FuzzUsage(f *testing.F) {
	for _, seed := range []string{
		`{"usage":{"prompt_tokens":19,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":5}}}`,
		`{"usage":{"input_tokens":1,"output_tokens":-2,"total_tokens":3,"output_tokens_details":{"reasoning_tokens":4}}}`,
		`{"usage":null,"a":[`,
		`{"us\u0061ge":{"total_tokens":1e2}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		u, ok := ParseUsage(body)
		AppendAnswerText(nil, body)
		if !ok && u != (Usage{}) || min(u.Prompt, u.Completion, u.Cached, u.Reasoning) < 0 || max(u.Prompt, u.Completion, u.Cached, u.Reasoning) > maxCount {
			t.Fatalf("ParseUsage(%q) = %+v, %v", body, u, ok)
		}
		var answer map[string]json.RawMessage
		if json.Unmarshal(body, &answer) != nil || depthOf(body) > maxDepth || hasTwins(body) {
			return
		}
		if want, there := readingUsage(answer["usage"]); ok != there || u != want {
			t.Fatalf("ParseUsage(%q) = %+v, %v; want %+v, %v", body, u, ok, want, there)
		}
	})
}
