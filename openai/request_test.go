package openai

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	f := func(body string, check func(q *Request) bool) {
		t.Helper()
		var q Request
		if err := q.Parse([]byte(body)); err != nil {
			t.Errorf("Parse(%.200s): %v", body, err)
		} else if !check(&q) {
			t.Errorf("Parse(%.200s) = %+v", body, q)
		}
	}
	model := func(want string) func(q *Request) bool {
		return func(q *Request) bool { return string(q.Model) == want }
	}

	f(`{}`, func(q *Request) bool { return q.Model == nil && !q.ModelAt.Present() && !q.Stream && q.N == 0 })
	f(" \n{ }\r\n\t", func(q *Request) bool { return q.Model == nil })
	f(`{"model":"gpt-4o"}`, func(q *Request) bool { return string(q.Model) == "gpt-4o" && q.ModelAt == Span{9, 17} })
	f(` { "model" : "a/b:c" } `, model("a/b:c"))
	f(`{"mod\u0065l":"x"}`, model("x"))
	f(`{"\u006D\u006F\u0064\u0065\u006C":"x"}`, model("x"))
	f(`{"model":"gpt\u002d4\u00e9\ud83d\ude00\/"}`, model("gpt-4é😀/"))
	f(`{"model":"通义千问"}`, model("通义千问"))

	// other names pass, whatever they look like
	f(`{"Model":1,"MODEL":2,"model ":3,"model":"x"}`, model("x"))
	f(`{"mode":1,"models":["y"],"model":"x","metadata":{"model":"z","model":1}}`, model("x"))
	f(`{"x":{"model":1},"y":"\"model\":\"z\"","model":"x"}`, model("x"))
	f(`{"a":1,"a":2,"model":"x"}`, model("x"))
	f(`{"`+strings.Repeat("k", 1<<16)+`":1,"`+strings.Repeat(`\u006b`, 1<<10)+`":1,"model":"x"}`, model("x"))
	f("{\"messages\":\"\xff\xfe\",\"model\":\"x\"}", model("x"))
	f(`{"messages":"\ud800","model":"x"}`, model("x"))

	// stream
	stream := func(stream, usage bool) func(q *Request) bool {
		return func(q *Request) bool { return q.Stream == stream && q.IncludeUsage == usage }
	}
	f(`{"stream":true}`, stream(true, false))
	f(`{"stream":false}`, stream(false, false))
	f(`{"stream":null}`, stream(false, false))
	f(`{"stream_options":null}`, stream(false, false))
	f(`{"stream_options":{}}`, stream(false, false))
	f(`{"stream_options":{"include_usage":true},"stream":true}`, stream(true, true))
	f(`{"stream_options":{"include_usage":false}}`, stream(false, false))
	f(`{"stream_options":{"include_usage":null}}`, stream(false, false))
	f(`{"stream_options":{"include\u005fusage":true}}`, stream(false, true))
	f(`{"stream_options":{"Include_usage":1,"x":{"include_usage":1}}}`, stream(false, false))

	// numbers
	tokens := func(want, n int64) func(q *Request) bool {
		return func(q *Request) bool { return q.MaxTokens == want && q.N == n }
	}
	f(`{"max_tokens":100,"n":3}`, tokens(100, 3))
	f(`{"max_completion_tokens":7,"max_tokens":5,"max_output_tokens":6}`, tokens(7, 0))
	f(`{"max_tokens":1099511627776}`, tokens(1<<40, 0))
	f(`{"max_tokens":1099511627777}`, tokens(0, 0))
	f(`{"max_tokens":99999999999999999999999999}`, tokens(0, 0))
	f(`{"max_tokens":-5,"n":null}`, tokens(0, 0))
	f(`{"max_tokens":1.5,"n":"2"}`, tokens(0, 0))
	f(`{"max_tokens":1e3,"n":[2]}`, tokens(0, 0))

	// spans
	f(`{"messages":[1],"input": "two" ,"prompt":3,"instructions":"4","tools":[{}]}`, func(q *Request) bool {
		return q.MessagesAt == Span{12, 15} && q.InputAt == Span{25, 30} && q.PromptAt == Span{41, 42} &&
			q.InstructionsAt == Span{58, 61} && q.ToolsAt == Span{70, 74}
	})
}

func TestParseRefuses(t *testing.T) {
	var q Request // the same for all: a refusal leaves nothing behind
	f := func(body, param, about string) {
		t.Helper()
		err := q.Parse([]byte(body))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%.200q) took it", body)
			return
		}
		if e.Status != 400 || e.Type != "invalid_request_error" || e.Param != param || !strings.Contains(e.Message, about) {
			t.Errorf("Parse(%.200q) = %d %s, param %q, %q; want param %q and %q", body, e.Status, e.Type, e.Param, e.Message, param, about)
		}
	}

	// no JSON object
	f("", "", "empty")
	f(" \n", "", "empty")
	f("\xef\xbb\xbf{}", "", "byte order mark")
	f("[]", "", "object")
	f(`"model"`, "", "object")
	f("null", "", "object")
	f("model=gpt-4", "", "object")
	f("{", "", "ends too early")
	f(`{"model":"x"`, "", "ends too early")
	f(`{"model":"x"}{}`, "", "something follows")
	f(`{"model":"x"} trailing`, "", "at byte 14")
	f(`{"model":"x",}`, "", "member name")
	f("{\"model\":\"x\",\"a\":\"\n\"}", "", "control character")
	f(`{"model":"x","a":"\q"}`, "", "escape")
	f(`{"model":"x","a":01}`, "", "comma")
	f(`{"model":"x" "a":1}`, "", "comma")
	f(`{"model"}`, "", "colon")
	f(`{"model":}`, "", "value")
	f(`{"model":"x","n":-}`, "", "number")

	// too deep
	f(`{"a":`+nested("[", 512, "]")+`}`, "", "512")
	f(`{"messages":`+nested("[", 512, "]")+`}`, "messages", "512")
	f(`{"messages":`+strings.Repeat(`[{"a":`, 50_000), "messages", "512")

	// twice
	for _, name := range []string{
		"model", "stream", "stream_options", "messages", "input", "prompt", "instructions",
		"tools", "n", "max_tokens", "max_completion_tokens", "max_output_tokens",
	} {
		f(`{"`+name+`":null,"x":1,"`+name+`":null}`, name, "more than once")
		f(`{"`+name+`":null,"\u00`+hexOf(name[0])+name[1:]+`":null}`, name, "more than once")
	}
	f(`{"stream_options":{"include_usage":true,"include_usage":true}}`, "stream_options.include_usage", "more than once")
	f(`{"stream_options":{"include_usage":true,"include_us\u0061ge":false}}`, "stream_options.include_usage", "more than once")

	// names that another parser might read as one of ours
	f("{\"mod\xffel\":\"x\"}", "", "not Unicode")
	f(`{"model\u0000":"x"}`, "", "not Unicode")
	f(`{"mod\ud800el":"x"}`, "", "not Unicode")
	f("{\"stream_options\":{\"include_usage\xc0\":1}}", "stream_options", "not Unicode")

	// model
	f(`{"model":null}`, "model", "string")
	f(`{"model":1}`, "model", "string")
	f(`{"model":["x"]}`, "model", "string")
	f(`{"model":{}}`, "model", "string")
	f(`{"model":""}`, "model", "name of a model")
	f(`{"model":"a\nb"}`, "model", "control characters")
	f(`{"model":"a\u0000b"}`, "model", "control characters")
	f(`{"model":"a\u007fb"}`, "model", "control characters")
	f(`{"model":"a\u0085b"}`, "model", "control characters")
	f("{\"model\":\"a\xffb\"}", "model", "Unicode")
	f(`{"model":"\ud83d"}`, "model", "Unicode")
	f(`{"model":"\ude00\ud83d"}`, "model", "Unicode")
	f(`{"model":"`+strings.Repeat("m", 5000)+`"}`, "model", "too long")

	// types
	f(`{"stream":1}`, "stream", "true or false")
	f(`{"stream":"true"}`, "stream", "true or false")
	f(`{"stream":{}}`, "stream", "true or false")
	f(`{"stream_options":[]}`, "stream_options", "object")
	f(`{"stream_options":"null"}`, "stream_options", "object")
	f(`{"stream_options":true}`, "stream_options", "object")
	f(`{"stream_options":{"include_usage":1}}`, "stream_options.include_usage", "true or false")
	f(`{"stream_options":{"include_usage":"true"}}`, "stream_options.include_usage", "true or false")
}

func hexOf(b byte) string {
	const hex = "0123456789abcdef"
	return string([]byte{hex[b>>4], hex[b&15]})
}

// A request that is used again knows nothing of the one before.
func TestParseAgain(t *testing.T) {
	var q Request
	body := []byte(`{"model":"\u0061bc","stream":true,"stream_options":{"include_usage":true},"n":2,"max_tokens":3,"messages":[],"tools":[]}`)
	if err := q.Parse(body); err != nil || string(q.Model) != "abc" {
		t.Fatal(err, q)
	}
	if err := q.Parse([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	var fresh Request
	if err := fresh.Parse([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	q.scratch = nil
	if !reflect.DeepEqual(q, fresh) {
		t.Errorf("used again: %+v\nfresh: %+v", q, fresh)
	}
}
