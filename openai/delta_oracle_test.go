package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// reading is what encoding/json makes of a chunk.
func reading(data []byte) (d Delta) {
	if strings.Trim(string(data), " \t\r\n") == "[DONE]" {
		return Delta{Valid: true, Done: true}
	}
	if !json.Valid(data) || depthOf(data) > maxDepth {
		return Delta{}
	}
	d.Valid = true
	d.HasText = len(AppendText(nil, data)) > 0
	var top map[string]json.RawMessage // a struct would not mind the case of names
	if json.Unmarshal(data, &top) != nil || top == nil {
		return d
	}
	some := func(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" && string(raw) != `""` }

	var choices []json.RawMessage
	isArray := json.Unmarshal(top["choices"], &choices) == nil
	for _, raw := range choices {
		var choice map[string]json.RawMessage
		if json.Unmarshal(raw, &choice) == nil && some(choice["finish_reason"]) {
			d.Finishes++
		}
	}
	var kind, object string
	_ = json.Unmarshal(top["type"], &kind)
	_ = json.Unmarshal(top["object"], &object)
	if e := top["error"]; some(e) && (e[0] == '{' || e[0] == '"') || object == "error" || kind == "error" || kind == "response.failed" {
		d.Failed = true
	}
	switch kind {
	case "response.completed", "response.incomplete", "response.failed", "image_generation.completed",
		"image_edit.completed", "speech.audio.done", "transcript.text.done":
		d.Finishes = max(d.Finishes, 1)
	}
	var response map[string]json.RawMessage
	_ = json.Unmarshal(top["response"], &response)
	for _, raw := range []json.RawMessage{response["usage"], top["usage"]} {
		if u, ok := readingUsage(raw); ok {
			d.Usage, d.HasUsage = u, true
		}
	}
	_, typed := top["type"]
	d.UsageOnly = d.HasUsage && (len(choices) == 0 && isArray || !some(top["choices"])) && !typed && !d.Failed
	d.Finished = d.Finishes > 0
	return d
}

func readingUsage(raw json.RawMessage) (u Usage, ok bool) {
	var counts, details map[string]json.RawMessage
	if json.Unmarshal(raw, &counts) != nil {
		return u, false
	}
	number := func(from map[string]json.RawMessage, name string) (int64, bool) {
		var n int64
		if raw := from[name]; len(raw) == 0 || raw[0] < '0' || raw[0] > '9' || json.Unmarshal(raw, &n) != nil || n > maxCount {
			return 0, false
		}
		return n, true
	}
	either := func(n *int64, names ...string) {
		for _, name := range names {
			value, found := number(counts, name)
			*n, ok = max(*n, value), ok || found
		}
	}
	either(&u.Prompt, "prompt_tokens", "input_tokens")
	either(&u.Completion, "completion_tokens", "output_tokens")
	if total, _ := number(counts, "total_tokens"); !ok && total > 0 {
		u.Prompt, ok = total, true
	}
	detail := func(n *int64, name string, of ...string) {
		for _, member := range of {
			details = nil
			_ = json.Unmarshal(counts[member], &details)
			value, _ := number(details, name)
			*n = max(*n, value)
		}
	}
	detail(&u.Cached, "cached_tokens", "prompt_tokens_details", "input_tokens_details")
	detail(&u.Reasoning, "reasoning_tokens", "completion_tokens_details", "output_tokens_details")
	return u, ok
}

// chunks draws chunks as providers and their imitators might send them.
func chunks() *rapid.Generator[string] {
	one := func(values ...string) *rapid.Generator[string] { return rapid.SampledFrom(values) }
	number := one("0", "1", "42", "1099511627776", "1099511627777", "-1", "1.5", "1e2", `"7"`, "null", "{}")
	details := one("null", "{}", "[]", `{"cached_tokens":4,"x":{"cached_tokens":5}}`, `{"reasoning_tokens":6,"cached_tokens":-6}`)
	object := func(t *rapid.T, label string, members map[string]*rapid.Generator[string]) string {
		var parts []string
		names := rapid.Permutation([]string{
			"choices", "usage", "error", "type", "object", "response", "delta", "x", "Usage", "finish_reason", "text", "content",
			"prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens", "prompt_tokens_details", "output_tokens_details",
		}).Draw(t, label)
		for _, name := range names {
			if g := members[name]; g != nil && rapid.Bool().Draw(t, label+"."+name) {
				parts = append(parts, string(AppendString(nil, name))+one(":", " : ").Draw(t, "colon")+g.Draw(t, name))
			}
		}
		return "{" + strings.Join(parts, one(",", " ,\n").Draw(t, "comma")) + "}"
	}
	text := rapid.Custom(func(t *rapid.T) string {
		return string(AppendString(nil, one("", "Hi", "\"finish_reason\":\"stop\"", "é\n\\", "{\"usage\":{\"prompt_tokens\":1}}").Draw(t, "text")))
	})
	usage := rapid.Custom(func(t *rapid.T) string {
		return object(t, "usage", map[string]*rapid.Generator[string]{
			"prompt_tokens": number, "input_tokens": number, "completion_tokens": number, "output_tokens": number,
			"total_tokens": number, "prompt_tokens_details": details, "output_tokens_details": details, "x": number,
		})
	})
	someUsage := rapid.OneOf(usage, usage, one("null", "1", "[]", `""`))
	delta := rapid.Custom(func(t *rapid.T) string {
		return object(t, "delta", map[string]*rapid.Generator[string]{"content": text, "x": text, "finish_reason": text, "usage": usage, "error": text})
	})
	choice := rapid.Custom(func(t *rapid.T) string {
		return object(t, "choice", map[string]*rapid.Generator[string]{
			"delta": delta, "text": text, "finish_reason": one("null", `"stop"`, `"length"`, `""`), "usage": usage, "x": usage,
		})
	})
	choices := rapid.Custom(func(t *rapid.T) string {
		return "[" + strings.Join(rapid.SliceOfN(rapid.OneOf(choice, choice, one("null", "[]", `"x"`)), 0, 3).Draw(t, "choices"), " , ") + "]"
	})
	response := rapid.Custom(func(t *rapid.T) string {
		return object(t, "response", map[string]*rapid.Generator[string]{"usage": someUsage, "error": text, "x": usage})
	})
	failure := one("null", `""`, `"x"`, `{}`, `{"message":"x"}`, "false", "1", "[]")
	return rapid.Custom(func(t *rapid.T) string {
		return object(t, "chunk", map[string]*rapid.Generator[string]{
			"choices": rapid.OneOf(choices, choices, one("null", `""`, "{}", "1")), "usage": someUsage, "error": failure,
			"type":     one("null", `"error"`, `"response.completed"`, `"response.failed"`, `"response.created"`, `"x"`),
			"object":   one(`"error"`, `"chat.completion.chunk"`, "null"),
			"response": rapid.OneOf(response, one("null", "[]")), "delta": rapid.OneOf(text, delta), "x": usage, "Usage": usage, "finish_reason": text,
		})
	})
}

func TestDeltaProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := []byte(chunks().Draw(t, "chunk"))
		checkDelta(t, data)
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		checkDelta(t, data[:cut])
	})
}

// checkDelta holds Parse against encoding/json.
func checkDelta(t failer, data []byte) {
	t.Helper()
	var d Delta
	d.Parse(data)
	want := reading(data)
	if top := map[string]json.RawMessage{}; json.Unmarshal(data, &top) == nil && len(top["response"]) > 0 && len(top["usage"]) > 0 {
		d.Usage, want.Usage = Usage{}, Usage{} // which of the two stands last counts; no provider sends both
	}
	if d != want {
		t.Fatalf("Parse(%q)\n got %+v\nwant %+v", data, d, want)
	}
}

// FuzzDelta: the same for any bytes. Objects with a name twice are left out:
// which one counts is nobody's promise.
func FuzzDelta(f *testing.F) {
	for _, seed := range []string{
		`[DONE]`, `{"choices":[{"delta":{"content":"a\u0062"},"finish_reason":"stop"}],"usage":null}`,
		`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}`,
		`{"type":"response.completed","response":{"usage":{"input_tokens":3}}}`, `{"error":{"message":"x"},"object":"error"}`, ` [DONE] `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !hasTwins(data) {
			checkDelta(t, data)
		}
	})
}
