package openai

import "testing"

func TestAppendText(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		if got := string(AppendText([]byte(">"), []byte(data))); got != ">"+want {
			t.Errorf("AppendText(%s) = %q, want %q", data, got, want)
		}
		var d Delta
		if d.Parse([]byte(data)); d.HasText != (want != "") || !d.Valid {
			t.Errorf("Parse(%s): HasText %v, Valid %v", data, d.HasText, d.Valid)
		}
	}

	// chat
	f(`{"choices":[{"index":0,"delta":{"content":" Hel\"lo\n\ud83d\ude00"},"finish_reason":null}]}`, " Hel\"lo\n😀")
	f(`{"choices":[{"delta":{"role":"assistant","content":""}}]}`, "")
	f(`{"choices":[{"delta":{"content":null,"refusal":"no"}}]}`, "no")
	f(`{"choices":[{"delta":{"reasoning_content":"hm","content":"a"}},{"delta":{"reasoning":"b"}}]}`, "hmab")
	f(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}},{"function":{"arguments":"1}"}}]}}]}`, `f{"a":1}`)
	f(`{"choices":[{"delta":{"function_call":{"name":"g","arguments":"{}"}}}]}`, "g{}")
	f(`{"choices":[{"delta":{},"finish_reason":"stop","logprobs":{"content":[{"token":"x"}]}}]}`, "")
	f(`{"choices":[],"usage":{"prompt_tokens":1}}`, "")
	f(`{"choices":null}`, "")
	f(`{"choices":["text",[{"text":"a"}],1]}`, "")

	// legacy
	f(`{"object":"text_completion","choices":[{"text":"abc","index":0,"finish_reason":null}]}`, "abc")

	// responses
	f(`{"type":"response.output_text.delta","item_id":"m","delta":"Hi"}`, "Hi")
	f(`{"type":"response.function_call_arguments.delta","delta":"{\"x\""}`, `{"x"`)
	f(`{"type":"response.output_text.done","text":"Hi there"}`, "")
	f(`{"type":"response.completed","response":{"output":[{"content":[{"text":"Hi there"}]}]}}`, "")

	// the rest
	f(`{"error":{"message":"text"},"content":"x","text":"y","output":"z"}`, "")
	f(`[{"choices":[{"text":"a"}]}]`, "")
	f(`"text"`, "")
}

func TestAppendAnswerText(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := string(AppendAnswerText([]byte(">"), []byte(body))); got != ">"+want {
			t.Errorf("AppendAnswerText(%s) = %q, want %q", body, got, want)
		}
	}

	f(`{"id":"chat","choices":[{"index":0,"message":{"role":"assistant","content":"Hi!","annotations":[{"text":"x"}]},"finish_reason":"stop"},{"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}}]}`, "Hi!f{}")
	f(`{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:"}},{"type":"text","text":"b"}]}}]}`, "ab")
	f(`{"choices":[{"text":"one"},{"text":"two"}]}`, "onetwo")
	f(`{"object":"response","instructions":"no","text":{"format":{"type":"text"}},"reasoning":{"summary":"no"},"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}]},{"type":"message","content":[{"type":"output_text","text":"out","annotations":[]}]},{"type":"function_call","name":"f","arguments":"{}"}],"tools":[{"name":"no"}]}`, "soutf{}")
	f(`{"delta":"no","usage":{}}`, "")
	f(`{"choices":[{"message":{"content":"cut`, "")
	f(`<html>`, "")
	f(``, "")
}
