package openai

import (
	"strings"
	"testing"
)

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

func TestAppendPrompt(t *testing.T) {
	f := func(body, want string, p Prompt) {
		t.Helper()
		var q Request
		if err := q.Parse([]byte(body)); err != nil {
			t.Errorf("Parse(%s): %v", body, err)
			return
		}
		text, got := q.AppendPrompt([]byte(">"), []byte(body))
		if pieces := strings.ReplaceAll(string(text), "\x00", "|"); pieces != ">"+want || got != p {
			t.Errorf("AppendPrompt(%s)\n got %q %+v\nwant %q %+v", body, pieces, got, want, p)
		}
	}

	// chat
	f(`{"model":"m","messages":[{"role":"system","content":"Be\nbrief"},{"role":"user","name":"bob","content":"Hi"}]}`, "system|Be\nbrief|user|bob|Hi|", Prompt{Messages: 2, Names: 1})
	f(`{"messages":[{"role":"user","content":[{"type":"text","text":"a\u0062"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"c"}]}]}`, "user|ab|c|", Prompt{Messages: 1})
	f(`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"call_1","content":"3"}]}`, `assistant|f|{"a":1}|tool|3|`, Prompt{Messages: 2})
	f(`{"messages":[{"role":"user","content":""}],"tools":[{"type":"function","function":{"name":"f"}}]}`, `user|[{"type":"function","function":{"name":"f"}}]|`, Prompt{Messages: 1})
	f(`{"messages":[]}`, "", Prompt{})
	f(`{"messages":null,"metadata":{"content":"no"},"user":"no"}`, "", Prompt{})
	f(`{"messages":{"role":"user","content":"not in an array"}}`, "user|not in an array|", Prompt{Messages: 1})

	// prompts and inputs
	f(`{"prompt":"Once"}`, "Once|", Prompt{})
	f(`{"prompt":["Once","upon"]}`, "Once|upon|", Prompt{})
	f(`{"prompt":[1,22,333]}`, "", Prompt{IDs: 3})
	f(`{"prompt":[[1,22],[333],[]]}`, "", Prompt{IDs: 3})
	f(`{"input":"text","encoding_format":"float"}`, "text|", Prompt{})
	f(`{"input":["a",[7],null,true,[[8]]]}`, "a|", Prompt{IDs: 1})

	// responses
	f(`{"instructions":"Be brief","input":[{"role":"user","content":[{"type":"input_text","text":"Hi"},{"type":"input_image","image_url":"data:"}]},{"type":"function_call_output","call_id":"c","output":"42"}]}`, "Be brief|user|Hi|42|", Prompt{Messages: 3})
	f(`{"input":[{"type":"message","role":"user","content":"Hi"}]}`, "user|Hi|", Prompt{Messages: 1})
}
