package openai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// written is a part as the tests write it.
func written(p Part) string {
	switch p.Kind {
	case PartMessage:
		return "message"
	case PartText:
		return string(p.Text)
	case PartName:
		return "name:" + string(p.Text)
	case PartIDs:
		return fmt.Sprintf("ids:%d", p.Count)
	case PartImage:
		return fmt.Sprintf("image:%s,%s", p.Text, p.More)
	case PartFunction:
		return fmt.Sprintf("function:%s,%s", p.Text, p.More)
	case PartProperty:
		return fmt.Sprintf("property:%s,%s,%s", p.Text, p.Type, p.More)
	case PartEnum:
		return "enum"
	case PartEnumItem:
		return "item:" + string(p.Text)
	case PartUnknown:
		return "?"
	}
	return "BUG"
}

// parts reads a prompt.
func parts(t interface{ Fatalf(string, ...any) }, body string) (all []string) {
	var q Request
	if err := q.Parse([]byte(body)); err != nil {
		t.Fatalf("Parse(%s): %v", body, err)
	}
	q.EachPart([]byte(body), func(p Part) { all = append(all, written(p)) })
	return all
}

func TestEachPart(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		if got := parts(t, body); !slices.Equal(got, want) {
			t.Errorf("EachPart(%s)\n got %q\nwant %q", body, got, want)
		}
	}

	// chat
	f(`{"model":"m","messages":[{"role":"system","content":"Be\nbrief"},{"role":"user","name":"bob","content":"Hi"}]}`,
		"message", "system", "Be\nbrief", "message", "user", "Hi", "name:bob")
	f(`{"messages":[{"role":"user","content":""}]}`, "message", "user")
	f(`{"messages":[]}`)
	f(`{"messages":null,"metadata":{"content":"no"},"user":"no"}`)
	f(`{"messages":{"role":"user","content":"not in an array"}}`, "message", "user", "not in an array")
	f(`{"messages":[{"role":"user","content":"zero\u0000byte"}]}`, "message", "user", "zero\x00byte")
	f(`{"messages":[{"role":"assistant","content":null,"refusal":"no"}]}`, "message", "assistant", "no")

	// An author's name with escapes outlives the parts behind it.
	f(`{"messages":[{"name":"b\u006fb","role":"user","content":[{"type":"image_url","image_url":{"url":"\u0068"}},{"text":"\u0061"}]}]}`,
		"message", "user", "image:h,", "a", "name:bob")

	// contents of several parts
	f(`{"messages":[{"role":"user","content":[{"type":"text","text":"a\u0062"},"c"]}]}`, "message", "user", "ab", "c")
	f(`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"detail":"low","url":"data:image/png;base64,AAAA"}}]}]}`,
		"message", "user", "image:data:image/png;base64,AAAA,low")
	f(`{"messages":[{"role":"user","content":[{"image_url":"https:\/\/a.b\/c","type":"image_url"}]}]}`, "message", "user", "image:https://a.b/c,")
	f(`{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}`, "message", "user", "?")
	f(`{"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"AAAA"}},{"type":"text","text":"b"}]}]}`, "message", "user", "?", "b")

	// calls of tools
	f(`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"call_1","content":"3"}]}`,
		"message", "assistant", "f", `{"a":1}`, "?", "message", "tool", "3")

	// prompts and inputs
	f(`{"prompt":"Once"}`, "Once")
	f(`{"prompt":["Once","upon"]}`, "Once", "upon")
	f(`{"prompt":[1,22,333]}`, "ids:3")
	f(`{"prompt":[[1,22],[333],[]]}`, "ids:3")
	f(`{"input":"text","encoding_format":"float"}`, "text")
	f(`{"input":["a",[7],null,true,[[8]]]}`, "a", "ids:1")

	// the Responses API
	f(`{"instructions":"Be brief","input":[{"role":"user","content":[{"type":"input_text","text":"Hi"},{"type":"input_image","image_url":"data:","detail":"high"}]}]}`,
		"message", "system", "Be brief", "message", "user", "Hi", "image:data:,high")
	f(`{"instructions":null,"input":[{"type":"message","role":"user","content":"Hi"}]}`, "message", "user", "Hi")
	f(`{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"42"}]}`,
		"message", "?", "{}", "?", "f", "message", "?", "42")
	f(`{"input":[{"type":"item_reference","id":"msg_1"}]}`, "message", "?")
	f(`{"input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]}`, "message", "user", "image:,")
}

func TestEachPartOfTools(t *testing.T) {
	f := func(tools string, want ...string) {
		t.Helper()
		if got := parts(t, `{"tools":`+tools+`,"model":"m"}`); !slices.Equal(got, want) {
			t.Errorf("EachPart of tools %s\n got %q\nwant %q", tools, got, want)
		}
	}
	// as in the Chat API, members in any order
	f(`[{"function":{"parameters":{"type":"object","required":["l"],"properties":{
		"l":{"type":"string","description":"A city."},"u":{"enum":["c","\u0066"],"description":"A unit","type":"string"}}},
		"strict":true,"description":"Get it","name":"get"},"type":"function"}]`,
		"function:get,Get it", "property:l,string,A city.", "property:u,string,A unit", "enum", "item:c", "item:f")
	// as in the Responses API
	f(`[{"type":"function","name":"get","description":"d","parameters":{"type":"object","properties":{}}},{"type":"function","name":"set","description":"d"}]`,
		"function:get,d", "function:set,d")
	f(`[{"type":"function","name":"\u0067et","description":"\u0064","parameters":{"properties":{"\u0061\"":{"type":"\u0069nteger","description":"\u0064"}}}}]`,
		"function:get,d", `property:a",integer,d`)

	// What the recipe does not know.
	f(`[{"type":"function","function":{"name":"get"}}]`, "function:get,", "?")
	f(`[{"type":"function","function":{"name":"g","description":"d","parameters":{"properties":{"a":{"type":["string","null"],"items":{"type":"string"}},"b":true},"$defs":{}}}}]`,
		"function:g,d", `{"type":"string"}`, "?", "property:a,,", "?", "true", "?", "{}", "?")
	f(`[{"type":"function","name":"g","description":"d","parameters":{"properties":{"a":{"type":"integer","description":"d","enum":[1,[2],null]}}}}]`,
		"function:g,d", "property:a,integer,d", "enum", "item:1", "item:[2]", "item:null")
	f(`[{"type":"web_search"},{"type":"custom","custom":{"name":"c"}}]`, `{"type":"web_search"}`, "?", `{"type":"custom","custom":{"name":"c"}}`, "?")
	f(`[{"type":"function","function":null},7,{}]`, `{"type":"function","function":null}`, "?", "7", "?", "{}", "?")
	f(`{"type":"function"}`, `{"type":"function"}`, "?")
	f(`null`)
}

// said is a chat as encoding/json writes it, and what it must be read as.
type said struct {
	body  string
	parts []string
}

func drawChat(t *rapid.T) (s said) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z "\\\n]{1,20}`))
	write := func(v any) json.RawMessage { b, _ := json.Marshal(v); return b }
	say := func(text string) string {
		if text != "" {
			s.parts = append(s.parts, strings.ToValidUTF8(text, "\ufffd"))
		}
		return text
	}
	var messages []string
	for range rapid.IntRange(0, 4).Draw(t, "messages") {
		s.parts = append(s.parts, "message")
		m := fmt.Sprintf(`{"role":%s`, write(say(rapid.SampledFrom([]string{"user", "system"}).Draw(t, "role"))))
		if rapid.Bool().Draw(t, "plain") {
			m += fmt.Sprintf(`,"content":%s`, write(say(text.Draw(t, "content"))))
		} else {
			a, b := say(text.Draw(t, "first")), say(text.Draw(t, "second"))
			m += fmt.Sprintf(`,"content":[{"type":"text","text":%s},{"text":%s,"type":"text"}]`, write(a), write(b))
		}
		messages = append(messages, m+"}")
	}
	s.body = `{"messages":[` + strings.Join(messages, ",") + `]}`
	return s
}

// What encoding/json writes is read back, part by part.
func TestEachPartProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawChat(t)
		if got := parts(t, s.body); !slices.Equal(got, s.parts) {
			t.Fatalf("EachPart(%s)\n got %q\nwant %q", s.body, got, s.parts)
		}
	})
}

// checkParts makes sure that no byte of a body is given away more often than
// the tools are read, whatever it looks like: the work stays in proportion.
func checkParts(t *testing.T, q *Request, body []byte) {
	t.Helper()
	size := 0
	q.EachPart(body, func(p Part) { size += len(p.Text) + len(p.Type) + len(p.More) })
	if size > 2*len(body)+16 { // an escaped byte may become three
		t.Fatalf("EachPart(%q) gave %d bytes", body, size)
	}
}

// A schema within a schema costs no more than its bytes, however deep.
func TestDeepSchemasAreReadOnce(t *testing.T) {
	deep := strings.Repeat(`{"properties":{"a":`, 200) + `{"type":"string"}` + strings.Repeat(`}}`, 200)
	body := []byte(`{"tools":[{"type":"function","name":"f","description":"d","parameters":` + deep + `}]}`)
	var q Request
	if err := q.Parse(body); err != nil {
		t.Fatal(err)
	}
	checkParts(t, &q, body)
}

func TestTextSize(t *testing.T) {
	f := func(body string, size, files int) {
		t.Helper()
		if s, n := TextSize([]byte(body)); s != size || n != files {
			t.Errorf("TextSize(%s) = %d, %d; want %d, %d", body, s, n, size, files)
		}
	}
	f("", 0, 0)
	f(`{"prompt":"Once"}`, 17, 0)
	f(`{"url":"data:a;base64,AAAA"}`, 24, 1)
	f(`{"a":"data:;base64,AAAA","b":"data:;base64,AA"}`, 41, 2)
	f(`"data:a;base64,`, 15, 1)
	f(`"data:a;base64,AAAA`, 19, 1) // cut off: no end is in sight
}
