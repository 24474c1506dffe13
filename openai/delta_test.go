package openai

import (
	"strings"
	"testing"
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

	// whole answers
	f(answerText, Delta{Valid: true, HasText: true, Finished: true, Finishes: 1, HasUsage: true, Usage: Usage{Prompt: 12, Completion: 34}})
	f(`{"object":"response","status":"completed","error":null,"text":{"format":{}},"output":[],"usage":{"input_tokens":3,"output_tokens":2}}`, Delta{Valid: true, HasUsage: true, UsageOnly: true, Usage: usage})

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
