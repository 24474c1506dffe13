package fakeprovider

import (
	"encoding/json"
	"strings"
	"testing"
)

// dig walks into decoded JSON by names and indexes.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}

func TestWholeAnswers(t *testing.T) {
	p := Start(t)
	f := func(path, body string, want any, at ...any) {
		t.Helper()
		method := "POST"
		if body == "" {
			method = "GET"
		}
		resp, got, err := fetch(t, p, method, path, body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s %s: %v, %v", path, body, resp, err)
		}
		if v := dig(decode(t, got), at...); v != want {
			t.Errorf("%s %s: got %v at %v, want %v in %s", path, body, v, at, want, got)
		}
	}
	chat := "/v1/chat/completions"
	f(chat, `{"model":"m"}`, "Hello from the fake provider.", "choices", 0, "message", "content")
	f(chat, `{"model":"m"}`, "m", "model")
	f(chat, `{"model":"m"}`, 7., "usage", "completion_tokens")
	f(chat, `{"model":"m","n":2}`, 1., "choices", 1, "index")
	f(chat, `{"model":"m","tools":[{"type":"function","function":{"name":"w"}}]}`, "w", "choices", 0, "message", "tool_calls", 0, "function", "name")
	f(chat, `{"model":"m","tools":[{"type":"function","function":{"name":"w"}}]}`, "tool_calls", "choices", 0, "finish_reason")
	f(chat, `{"model":"m","response_format":{"type":"json_object"}}`, `{"answer":42}`, "choices", 0, "message", "content")
	f("/v1/completions", `{"model":"m"}`, "Hello from the fake provider.", "choices", 0, "text")
	f("/v1/responses", `{"model":"m"}`, "Hello from the fake provider.", "output", 0, "content", 0, "text")
	f("/v1/responses", `{}`, 11., "usage", "input_tokens")
	f("/v1/embeddings", `{"model":"m","input":["a","b"],"dimensions":2}`, 1., "data", 1, "embedding", 0)
	f("/v1/embeddings", `{"model":"m","input":"a","dimensions":1,"encoding_format":"base64"}`, "AAAAPw==", "data", 0, "embedding")
	f("/v1/moderations", `{}`, false, "results", 0, "flagged")
	f("/v1/images/generations", `{}`, "aW1hZ2U=", "data", 0, "b64_json")
	f("/v1/rerank", `{"documents":["a","b"]}`, 0.5, "results", 1, "relevance_score")
	f("/v1/models", "", "fake-model", "data", 0, "id")
	f("/v1/models/fake-model", "", "fake-model", "id")
}

func TestStreamedAnswers(t *testing.T) {
	p := Start(t)
	f := func(y Reply, path, body string, count int, last string) {
		t.Helper()
		p.Handle(y.Answer)
		resp, got, err := fetch(t, p, "POST", path, body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v, %v", body, resp, err)
		}
		all := events(got)
		if len(all) != count || !strings.Contains(all[len(all)-1], last) {
			t.Errorf("%s %s: got %d events, want %d with %q at the end:\n%s", path, body, len(all), count, last, got)
		}
	}
	two := []string{"a", "b"}
	f(Reply{Text: two}, "/v1/chat/completions", `{"stream":true}`, 5, "data: [DONE]")
	f(Reply{Text: two}, "/v1/chat/completions", `{"stream":true,"n":2}`, 9, "data: [DONE]")
	f(Reply{Text: two}, "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, 6, "data: [DONE]")
	f(Reply{Text: two, NoUsage: true}, "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, 5, "data: [DONE]")
	f(Reply{Text: two, NoDone: true}, "/v1/chat/completions", `{"stream":true}`, 4, `"finish_reason":"stop"`)
	f(Reply{Text: two, NoDone: true, NoFinish: true}, "/v1/chat/completions", `{"stream":true}`, 3, `"content":"b"`)
	f(Reply{Calls: []Call{{Name: "w", Arguments: two}}}, "/v1/chat/completions", `{"stream":true}`, 6, "data: [DONE]")
	f(Reply{Text: two}, "/v1/completions", `{"stream":true}`, 4, "data: [DONE]")
	f(Reply{Text: two}, "/v1/responses", `{"stream":true}`, 10, "event: response.completed")
	f(Reply{Text: two, NoFinish: true}, "/v1/responses", `{"stream":true}`, 9, "event: response.output_item.done")
}

func TestRefusals(t *testing.T) {
	p := Start(t, Options{Key: "sk-right"})
	f := func(handler Handler, method, path, key, body string, status int, code string) {
		t.Helper()
		p.Handle(handler)
		c := dial(t, p)
		say(t, c, method+" "+path+" HTTP/1.1\r\nHost: f\r\nConnection: close\r\nAuthorization: Bearer "+key+"\r\nContent-Length: "+itoa(len(body))+"\r\n\r\n"+body)
		got := readAll(t, c)
		if !strings.HasPrefix(got, "HTTP/1.1 "+itoa(status)) || !strings.Contains(got, `"code":"`+code+`"`) {
			t.Errorf("%s %s: got %q, want %d %s", path, body, got, status, code)
		}
	}
	f(nil, "POST", "/v1/chat/completions", "sk-wrong", `{}`, 401, "invalid_api_key")
	f(nil, "POST", "/v1/chat/completions", "sk-right", `{`, 400, "invalid_json")
	f(nil, "POST", "/v1/nothing", "sk-right", `{}`, 404, "not_found")
	f(nil, "POST", "/", "sk-right", `{}`, 404, "not_found")
	f(nil, "GET", "/v1/models/none", "sk-right", ``, 404, "model_not_found")
	f(Reply{RefuseStreamOptions: true}.Answer, "POST", "/v1/chat/completions", "sk-right", `{"stream_options":{}}`, 400, "unknown_parameter")
}
