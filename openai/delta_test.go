package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDelta(t *testing.T) {
	f := func(data string, want Delta) {
		t.Helper()
		d := Delta{Done: true, Failed: true, Finishes: 7, Usage: Usage{1, 2, 3, 4}} // Parse sets all
		if d.Parse([]byte(data)); d != want {
			t.Errorf("Parse(%.300s)\n got %+v\nwant %+v", data, d, want)
		}
	}
	const done, stop = true, 1
	usage := Usage{Prompt: 3, Completion: 2}

	// the end mark
	f(`[DONE]`, Delta{Valid: true, Done: done})
	f(" [DONE]\t", Delta{Valid: true, Done: done})
	f(`[done]`, Delta{})
	f(`[DONE]]`, Delta{})
	f(`"[DONE]"`, Delta{Valid: true})

	// chunks
	f(`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`, Delta{Valid: true})
	f(`{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}`, Delta{Valid: true, HasText: true})
	f(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, Delta{Valid: true, Finished: true, Finishes: stop})
	f(`{"choices":[{"finish_r\u0065ason":"stop"}]}`, Delta{Valid: true, Finished: true, Finishes: stop})
	f(`{"choices":[{"delta":{},"finish_reason":"stop"},{"delta":{},"finish_reason":"length"},{"finish_reason":null}]}`, Delta{Valid: true, Finished: true, Finishes: 2})
	f(`{"choices":[{"delta":{"content":"x"},"finish_reason":""}]}`, Delta{Valid: true, HasText: true})
	f(`{"choices":[{"delta":{"content":"x"},"Finish_Reason":"stop"}]}`, Delta{Valid: true, HasText: true})

	// text that looks like more than text, and names where they mean nothing
	f(`{"choices":[{"delta":{"content":"\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}"}}]}`, Delta{Valid: true, HasText: true})
	f(`{"choices":[{"delta":{"finish_reason":"stop","usage":{"prompt_tokens":1},"error":{}}}],"finish_reason":"stop"}`, Delta{Valid: true})
	f(`{"choices":[{"usage":{"prompt_tokens":1},"error":{"message":"x"}}],"x":{"error":{"message":"x"}}}`, Delta{Valid: true})

	// usage: alone, with choices, null, Azure's and others' ways
	f(`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`, Delta{Valid: true, HasUsage: true, UsageOnly: true, Usage: usage})
	f(`{"usage":{"prompt_tokens":3,"completion_tokens":2},"choices":[ ]}`, Delta{Valid: true, HasUsage: true, UsageOnly: true, Usage: usage})
	f(`{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2}}`, Delta{Valid: true, HasUsage: true, UsageOnly: true, Usage: usage})
	f(`{"id":"c","usage":{"prompt_tokens":3,"completion_tokens":2}}`, Delta{Valid: true, HasUsage: true, UsageOnly: true, Usage: usage})
	f(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`, Delta{Valid: true, Finished: true, Finishes: stop, HasUsage: true, Usage: usage})
	f(`{"choices":[{"delta":{"content":"x"}}],"usage":null}`, Delta{Valid: true, HasText: true})
	f(`{"choices":[],"usage":null}`, Delta{Valid: true})
	f(`{"choices":[],"usage":{}}`, Delta{Valid: true})
	f(`{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}],"id":"","object":"","model":"","created":0}`, Delta{Valid: true})
	f(`{"choices":[{"usage":{"prompt_tokens":1}}],"Usage":{"prompt_tokens":1}}`, Delta{Valid: true})

	// errors
	f(`{"error":{"message":"overloaded","type":"server_error","code":null}}`, Delta{Valid: true, Failed: true})
	f(`{"error":"overloaded"}`, Delta{Valid: true, Failed: true})
	f(`{"error":null,"choices":[]}`, Delta{Valid: true})
	f(`{"error":"","choices":[]}`, Delta{Valid: true})
	f(`{"error":false,"choices":[]}`, Delta{Valid: true})
	f(`{"object":"error","message":"too long","type":"BadRequestError","code":400}`, Delta{Valid: true, Failed: true})
	f(`{"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502}}`, Delta{Valid: true, Failed: true, Finished: true, Finishes: 1})
	f(`{"error":{"code":502},"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`, Delta{Valid: true, Failed: true, HasUsage: true, Usage: usage})

	// responses
	f(`{"type":"response.created","response":{"status":"in_progress","usage":null,"error":null}}`, Delta{Valid: true})
	f(`{"type":"response.output_text.delta","delta":"Hi"}`, Delta{Valid: true, HasText: true})
	f(`{"type":"response.output_text.done","text":"response.completed"}`, Delta{Valid: true})
	f(`{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":3,"output_tokens":2}}}`, Delta{Valid: true, Finished: true, Finishes: 1, HasUsage: true, Usage: usage})
	f(`{"response":{"usage":{"input_tokens":3,"output_tokens":2}},"type":"response.incomplete"}`, Delta{Valid: true, Finished: true, Finishes: 1, HasUsage: true, Usage: usage})
	f(`{"type":"response.failed","response":{"error":{"message":"x"}}}`, Delta{Valid: true, Finished: true, Finishes: 1, Failed: true})
	f(`{"type":"error","code":"server_error","message":"x","param":null}`, Delta{Valid: true, Failed: true})
	f(`{"type":"response.web_search_call.completed"}`, Delta{Valid: true})
	f(`{"type":"response.mcp_call.failed","error":null}`, Delta{Valid: true})
	f(`{"typ\u0065":"response.c\u006fmpleted"}`, Delta{Valid: true, Finished: true, Finishes: 1})
	f(`{"type":7,"response":8,"choices":9,"usage":[],"delta":{},"object":{}}`, Delta{Valid: true})

	// images and speech
	f(`{"type":"image_generation.completed","b64_json":"AAAA","usage":{"input_tokens":3,"output_tokens":2}}`, Delta{Valid: true, Finished: true, Finishes: 1, HasUsage: true, Usage: usage})
	f(`{"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":2}}`, Delta{Valid: true, Finished: true, Finishes: 1, HasUsage: true, Usage: usage})

	// no chunk
	f(``, Delta{})
	f(` `, Delta{})
	f(`ping`, Delta{})
	f(`{"choices":[{"delta":{"content":"cut`, Delta{})
	f(`{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3}`, Delta{})
	f(`{"choices":[{"finish_reason":"stop"}]} x`, Delta{})
	f(`{"error":`, Delta{})
	f(`{"error":"`, Delta{})
	f(`[]`, Delta{Valid: true})
	f(`null`, Delta{Valid: true})
	f(strings.Repeat(`{"choices":[`, 1<<16), Delta{})
}

func TestDeltaParseEvent(t *testing.T) {
	f := func(name, data string, want Delta) {
		t.Helper()
		var d Delta
		if d.ParseEvent([]byte(name), []byte(data)); d != want {
			t.Errorf("ParseEvent(%q, %s) = %+v, want %+v", name, data, d, want)
		}
	}

	f("error", `{"message":"x"}`, Delta{Valid: true, Failed: true})
	f("response.completed", `{"response":{}}`, Delta{Valid: true, Finished: true, Finishes: 1})
	f("response.completed", `{"type":"response.completed"}`, Delta{Valid: true, Finished: true, Finishes: 1})
	f("message", `{"choices":[{"delta":{"content":"x"}}]}`, Delta{Valid: true, HasText: true})
	f("error", `[DONE]`, Delta{Valid: true, Done: true})
	f("error", `garbage`, Delta{})
}

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
	json.Unmarshal(top["type"], &kind)
	json.Unmarshal(top["object"], &object)
	if e := top["error"]; some(e) && (e[0] == '{' || e[0] == '"') || object == "error" || kind == "error" || kind == "response.failed" {
		d.Failed = true
	}
	switch kind {
	case "response.completed", "response.incomplete", "response.failed", "image_generation.completed",
		"image_edit.completed", "speech.audio.done", "transcript.text.done":
		d.Finishes = max(d.Finishes, 1)
	}
	var response map[string]json.RawMessage
	json.Unmarshal(top["response"], &response)
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
			json.Unmarshal(counts[member], &details)
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
		names := rapid.Permutation([]string{"choices", "usage", "error", "type", "object", "response", "delta", "x", "Usage", "finish_reason", "text", "content",
			"prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens", "prompt_tokens_details", "output_tokens_details"}).Draw(t, label)
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
