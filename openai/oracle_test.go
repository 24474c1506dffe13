package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// The oracle says with the means of jsontext what Parse must say. It is slow
// and straight.

// field is one member of an object.
type field struct {
	name   string // decoded
	lawful bool   // the name is Unicode without NUL
	value  Span
}

// fieldsOf lists the members of the object at a place in a valid text.
func fieldsOf(body []byte, at int) (fields []field) {
	d := jsontext.NewDecoder(bytes.NewReader(body[at:]), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		panic(err)
	}
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			panic(err)
		}
		name, err := jsontext.AppendUnquote(nil, raw)
		f := field{name: string(name), lawful: err == nil && bytes.IndexByte(name, 0) < 0}
		value, err := d.ReadValue()
		if err != nil {
			panic(err)
		}
		end := at + int(d.InputOffset())
		f.value = Span{end - len(value), end}
		fields = append(fields, f)
	}
	return fields
}

// expected is what Parse must find.
type expected struct {
	param        string // of the refusal; "" may also be one, see refused
	refused      bool
	model        string
	stream       bool
	includeUsage bool
	fields       []field
	options      []field
}

var guarded = []string{
	"model", "stream", "stream_options", "messages", "input", "prompt", "instructions",
	"tools", "n", "max_tokens", "max_completion_tokens", "max_output_tokens",
}

func expect(body []byte) (x expected) {
	refuse := func(param string) expected { return expected{refused: true, param: param} }
	anyParam := "?" // what stands first decides; the tables have those cases

	if !json.Valid(body) || bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
		return refuse(anyParam)
	}
	x.fields = fieldsOf(body, bytes.IndexByte(body, '{'))
	seen := map[string]Span{}
	for _, f := range x.fields {
		if !slices.Contains(guarded, f.name) && !f.lawful || seen[f.name].Present() && slices.Contains(guarded, f.name) {
			return refuse(anyParam)
		}
		seen[f.name] = f.value
	}
	if depthOf(body) > maxDepth {
		return refuse(anyParam)
	}
	if at := seen["model"]; at.Present() {
		name, err := jsontext.AppendUnquote(nil, at.Of(body))
		if err != nil || len(name) == 0 || at.End-at.Start > maxModel || strings.ContainsFunc(string(name), unicode.IsControl) {
			return refuse("model")
		}
		x.model = string(name)
	}
	switch string(seen["stream"].Of(body)) {
	case "true":
		x.stream = true
	case "false", "null", "":
	default:
		return refuse("stream")
	}
	options := seen["stream_options"]
	switch string(options.Of(body)[:min(1, options.End-options.Start)]) {
	case "", "n":
		return x
	case "{":
	default:
		return refuse("stream_options")
	}
	x.options = fieldsOf(body, options.Start)
	asked := 0
	for _, f := range x.options {
		if !f.lawful && f.name != "include_usage" {
			return refuse("stream_options")
		}
		if f.name == "include_usage" {
			asked++
			x.includeUsage = string(f.value.Of(body)) == "true"
			if !slices.Contains([]string{"true", "false", "null"}, string(f.value.Of(body))) || asked > 1 {
				x = refuse("stream_options.include_usage")
			}
		}
	}
	return x
}

// spliced says what Splice must make of a body that Parse took.
func (x *expected) spliced(body []byte, model string, askUsage bool) string {
	type change struct {
		at   Span
		text string
	}
	var changes []change
	var options, include Span
	for _, f := range x.fields {
		switch f.name {
		case "model":
			if model != "" {
				changes = append(changes, change{f.value, model})
			}
		case "stream_options":
			options = f.value
		}
	}
	for _, f := range x.options {
		if f.name == "include_usage" {
			include = f.value
		}
	}
	comma := func(fields []field) string {
		if len(fields) == 0 {
			return ""
		}
		return ","
	}
	switch start := bytes.IndexByte(body, '{') + 1; {
	case !askUsage || x.includeUsage:
	case include.Present():
		changes = append(changes, change{include, "true"})
	case options.Present() && body[options.Start] == '{':
		at := options.Start + 1
		changes = append(changes, change{Span{at, at}, `"include_usage":true` + comma(x.options)})
	case options.Present():
		changes = append(changes, change{options, `{"include_usage":true}`})
	default:
		changes = append(changes, change{Span{start, start}, `"stream_options":{"include_usage":true}` + comma(x.fields)})
	}
	slices.SortFunc(changes, func(a, b change) int { return b.at.Start - a.at.Start })
	text := string(body)
	for _, c := range changes { // from the back, so that the spans stay right
		text = text[:c.at.Start] + c.text + text[c.at.End:]
	}
	return text
}

// failer is a test, a fuzz target or a property test.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkRequest holds Parse and Splice against the oracle.
func checkRequest(t failer, q *Request, body []byte) {
	t.Helper()
	x := expect(body)
	err := q.Parse(body)
	if (err != nil) != x.refused {
		t.Fatalf("Parse(%q): %v, expected %+v", body, err, x)
	}
	if err != nil {
		if e := err.(*Error); x.param != "?" && e.Param != x.param {
			t.Fatalf("Parse(%q): param %q (%s), want %q", body, e.Param, e.Message, x.param)
		}
		return
	}
	if string(q.Model) != x.model || q.Stream != x.stream || q.IncludeUsage != x.includeUsage {
		t.Fatalf("Parse(%q) = %q, %v, %v; want %+v", body, q.Model, q.Stream, q.IncludeUsage, x)
	}
	for _, model := range []string{"", `"other \"model\""`} {
		for _, ask := range []bool{false, true} {
			got := string(bytes.Join(q.Splice(nil, body, []byte(model)[:len(model):len(model)], ask), nil))
			if model == "" {
				got = string(bytes.Join(q.Splice(nil, body, nil, ask), nil))
			}
			if want := x.spliced(body, model, ask); got != want {
				t.Fatalf("Splice(%q, %s, %v)\n got %q\nwant %q", body, model, ask, got, want)
			}
			checkMeaning(t, q, []byte(got), x, model, ask)
		}
	}
}

// checkMeaning reads the spliced body as the provider would.
func checkMeaning(t failer, q *Request, got []byte, x expected, model string, ask bool) {
	t.Helper()
	if !json.Valid(got) {
		t.Fatalf("spliced body is no JSON: %q", got)
	}
	var again Request
	if err := again.Parse(got); err != nil {
		t.Fatalf("spliced body %q: %v", got, err)
	}
	if again.IncludeUsage != (q.IncludeUsage || ask) || again.Stream != q.Stream {
		t.Fatalf("spliced body %q asks usage %v, stream %v", got, again.IncludeUsage, again.Stream)
	}
	want := x.model
	if model != "" && q.ModelAt.Present() {
		want = "other \"model\""
	}
	if string(again.Model) != want {
		t.Fatalf("spliced body %q has model %q", got, again.Model)
	}
}

// R54: Parse agrees with encoding/json and jsontext on every body.
func FuzzRequest(f *testing.F) {
	for _, seed := range requestSeeds {
		f.Add([]byte(seed))
	}
	var q Request
	f.Fuzz(func(t *testing.T, body []byte) {
		checkRequest(t, &q, body)
		if q.Parse(body) == nil {
			checkParts(t, &q, body)
		}
	})
}

var requestSeeds = []string{
	`{}`,
	`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
	`{"mod\u0065l":"\ud83d\ude00","n":-0.5e+10,"stream_options":{"include_usage":false},"prompt":[[1,2],[3]]}`,
	`{"stream_options":null,"model":"a","tools":[{"function":{"name":"f"}}],"input":["a","b"]}`,
	`{ "stream_options" : { } , "model" : "b" }`,
	`{"stream_options":{"include_usage":null,"x":1},"Model":1,"model":"c"}`,
	`{"model":"x","model":"y"}`,
	"{\"mod\xffel\":1}",
	`{"stream":"true"}`,
	`{"stream_options":{"include_usage":true,"include\u005fusage":true}}`,
	`{"max_tokens":1e3,"max_completion_tokens":-1,"max_output_tokens":1099511627777}`,
}

func TestRequestSeedsAgainstOracle(t *testing.T) {
	var q Request
	for _, seed := range slices.Concat(requestSeeds, jsonSeeds) {
		checkRequest(t, &q, []byte(seed))
	}
	for i, name := range guarded {
		checkRequest(t, &q, fmt.Appendf(nil, `{"a":%d,%q:null,"b":[{"%s":1}]}`, i, name, name))
	}
}

// hasTwins reports whether the names of an object of a valid text are not all
// different, or are not Unicode.
func hasTwins(body []byte) bool {
	return json.Valid(body) && !jsontext.Value(body).IsValid()
}
