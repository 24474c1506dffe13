package openai

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatAnswersSayOfThemselves(t *testing.T) {
	f := func(want string, data ...string) {
		t.Helper()
		var a Identity
		for _, d := range data {
			a.Read([]byte(d))
		}
		if got := fmt.Sprintf("%s %s %v", a.ID, a.Model, a.Reasons); got != want {
			t.Errorf("%.200q: %s, want %s", data, got, want)
		}
	}
	f("c1 gpt-4o [stop length]", `{"id":"c1","object":"chat.completion","model":"gpt-4o","choices":[{"message":{"content":"id model"},"finish_reason":"stop"},{"finish_reason":"length"}]}`)
	f("c1 gpt-4o [stop]",
		`{"id":"c1","model":"","choices":[{"delta":{"content":"a"},"finish_reason":null}]}`,
		`{"id":"c2","model":"gpt-4o","choices":[{"delta":{},"finish_reason":"stop"}]}`,
		`{"id":"c1","model":"other","choices":[],"usage":{}}`, `[DONE]`)
	f("r1 o3 [completed]",
		`{"type":"response.created","response":{"id":"r1","model":"o3","status":"in_progress"}}`,
		`{"type":"response.completed","response":{"id":"r1","model":"o3","status":"completed"}}`)
	f("r1 o3 [incomplete]", `{"id":"r1","model":"o3","status":"incomplete","output":[]}`)
	f(" text-embedding-3 []", `{"object":"list","data":[{"id":"no","model":"no"}],"model":"text-embedding-3"}`)
	f("  []", `{"model":{"a":1},"id":7,"choices":{"a":1},"response":[1]}`)
	f("  []", `not JSON`)
	f("  []", ``)
	f("a  []", `{"id":"a","model":"cut`)
	f("  []", `{"model":"`+strings.Repeat("x", 1000)+`"}`)
	f("  [x x x x x x x x x x x x x x x x]", `{"choices":[`+strings.Repeat(`{"finish_reason":"x"},`, 40)+`0]}`)
	f("  []", strings.Repeat(`{"response":`, 600))
}
