package openai

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplice(t *testing.T) {
	f := func(body, model string, askUsage bool, want string) {
		t.Helper()
		var q Request
		if err := q.Parse([]byte(body)); err != nil {
			t.Errorf("Parse(%s): %v", body, err)
			return
		}
		var value []byte
		if model != "" {
			value = []byte(model)
		}
		got := bytes.Join(q.Splice(nil, []byte(body), value, askUsage), nil)
		if string(got) != want {
			t.Errorf("Splice(%s, %s, %v)\n got %s\nwant %s", body, model, askUsage, got, want)
		}
	}

	// model
	f(`{"model":"a"}`, ``, false, `{"model":"a"}`)
	f(`{"model":"a"}`, `"b"`, false, `{"model":"b"}`)
	f(`{ "x":1.00 , "mod\u0065l" : "\u0061" , "y":"\/" } `, `"b"`, false, `{ "x":1.00 , "mod\u0065l" : "b" , "y":"\/" } `)
	f(`{"messages":[]}`, `"b"`, false, `{"messages":[]}`)

	// usage: absent, null, empty, without it, false, null, already asked
	f(`{}`, ``, true, `{"stream_options":{"include_usage":true}}`)
	f(` {  } `, ``, true, ` {"stream_options":{"include_usage":true}  } `)
	f(`{"a":1}`, ``, true, `{"stream_options":{"include_usage":true},"a":1}`)
	f(`{"stream_options":null}`, ``, true, `{"stream_options":{"include_usage":true}}`)
	f(`{"stream_options":{}}`, ``, true, `{"stream_options":{"include_usage":true}}`)
	f(`{"stream_options": { } }`, ``, true, `{"stream_options": {"include_usage":true } }`)
	f(`{"stream_options":{"x":1}}`, ``, true, `{"stream_options":{"include_usage":true,"x":1}}`)
	f(`{"stream_options":{"include_usage":false,"x":1}}`, ``, true, `{"stream_options":{"include_usage":true,"x":1}}`)
	f(`{"stream_options":{"include_usage": null }}`, ``, true, `{"stream_options":{"include_usage": true }}`)
	f(`{"stream_options":{"include_usage":true}}`, ``, true, `{"stream_options":{"include_usage":true}}`)
	f(`{"stream_options":{"include_usage":false}}`, ``, false, `{"stream_options":{"include_usage":false}}`)
	f(`{"stream_options":null}`, ``, false, `{"stream_options":null}`)

	// both, in either order
	f(`{"model":"a","stream":true}`, `"b"`, true, `{"stream_options":{"include_usage":true},"model":"b","stream":true}`)
	f(`{"model":"a","stream_options":{}}`, `"b"`, true, `{"model":"b","stream_options":{"include_usage":true}}`)
	f(`{"stream_options":null,"model":"a"}`, `"b"`, true, `{"stream_options":{"include_usage":true},"model":"b"}`)
	f(`{"stream_options":{"include_usage":false},"model":"a"}`, `"b"`, true, `{"stream_options":{"include_usage":true},"model":"b"}`)
	f(`{"stream_options":{"include_usage":true},"model":"a"}`, `"b"`, true, `{"stream_options":{"include_usage":true},"model":"b"}`)
}

// The segments are the caller's bytes, not copies.
func TestSpliceCopiesNothing(t *testing.T) {
	body := []byte(`{"model":"a","messages":[{"role":"user","content":"hello"}],"stream":true}`)
	var q Request
	if err := q.Parse(body); err != nil {
		t.Fatal(err)
	}
	dst := make([][]byte, 1, 8)
	segments := q.Splice(dst, body, []byte(`"b"`), true)
	if len(segments) > 7 || &segments[0] != &dst[0] {
		t.Fatalf("%d segments, in another array", len(segments))
	}
	last := segments[len(segments)-1]
	if &last[len(last)-1] != &body[len(body)-1] {
		t.Error("the last segment is a copy")
	}
}

// Any order, spacing and spelling of the members, held against the oracle.
func TestSpliceProperty(t *testing.T) {
	space := rapid.SampledFrom([]string{"", " ", "\n\t", "\r\n  "})
	members := rapid.SampledFrom([]string{
		`"model":"m"`, `"model" : "\u0061\n"`, `"mod\u0065l":"x/y"`, `"model":7`,
		`"stream":true`, `"stream" : null`, `"stream":0`,
		`"stream_options":null`, `"stream_options":{}`, `"stream_options":{ }`, `"stream_options":{"x":[{}]}`,
		`"stream_options":{"include_usage":false}`, `"stream_options":{"x":1,"include_usage" : true,"y":2}`,
		`"stream_options":{"include\u005fusage":null}`, `"stream_options":{"include_usage":1}`, `"stream_options":3`,
		`"messages":[{"role":"user","content":"{\"model\":\"z\"}"}]`, `"n":1.0e0`, `"max_tokens":5`,
		`"x":-0`, `"x":{"model":"no","stream_options":{}}`, `"Model":"no"`, `"":""`, "\"k\xff\":1",
	})
	var q Request
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		for _, m := range rapid.SliceOfN(members, 0, 6).Draw(t, "members") {
			parts = append(parts, space.Draw(t, "before")+m+space.Draw(t, "behind"))
		}
		body := fmt.Sprintf("%s{%s%s}%s", space.Draw(t, "start"), space.Draw(t, "inside"), strings.Join(parts, ","), space.Draw(t, "end"))
		checkRequest(t, &q, []byte(body))
	})
}
