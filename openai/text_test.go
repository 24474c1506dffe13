package openai

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func TestUnescape(t *testing.T) {
	f := func(raw, want string, whole bool) {
		t.Helper()
		got, ok := unescape(nil, []byte(raw))
		if string(got) != want || ok != whole {
			t.Errorf("unescape(%q) = %q, %v; want %q, %v", raw, got, ok, want, whole)
		}
	}

	f(``, "", true)
	f(`plain é`, "plain é", true)
	f(`\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t", true)
	f(`mod\u0065l`, "model", true)
	f(`\u00e9\u00E9\u6f22\u0000`, "éé漢\x00", true)
	f(`\ud83d\ude00!`, "😀!", true)
	f(`\uFFFD`, "\ufffd", true)
	f(`\ud83d`, "\ufffd", false)
	f(`\ude00`, "\ufffd", false)
	f(`\ude00\ud83d`, "\ufffd\ufffd", false)
	f(`\ud83dx`, "\ufffdx", false)
	f(`\ud83d\n`, "\ufffd\n", false)
	f(`\ud83d\u0041`, "\ufffdA", false)
	f(`\ud83d\ud83d\ude00`, "\ufffd😀", false)
	f("\xff\\n", "\xff\n", true)
}

// Whatever AppendString writes, encoding/json and unescape read back.
func TestAppendStringProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		quoted := AppendString(nil, s)
		if other := AppendString(nil, []byte(s)); string(other) != string(quoted) {
			t.Fatalf("as bytes %q is %s, as string %s", s, other, quoted)
		}
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("AppendString(%q) = %s: %v", s, quoted, err)
		}
		want := string([]rune(s)) // with U+FFFD for what is not UTF-8
		if got != want {
			t.Fatalf("AppendString(%q) = %s, which is %q", s, quoted, got)
		}
		back, whole := unescape(nil, quoted[1:len(quoted)-1])
		if string(back) != want || !whole {
			t.Fatalf("unescape(%s) = %q, %v", quoted, back, whole)
		}
	})
}

func TestLawfulName(t *testing.T) {
	f := func(raw string, want bool) {
		t.Helper()
		plain := true
		for _, b := range raw {
			plain = plain && b != '\\'
		}
		if got := lawfulName([]byte(raw), plain); got != want {
			t.Errorf("lawfulName(%q) = %v", raw, got)
		}
	}

	f(``, true)
	f(`x-vendor é漢😀`, true)
	f(`\u0065\n\"\\`, true)
	f(`\ud83d\ude00`, true)
	f("mod\xffel", false)
	f("\\n\xff", false)
	f(`model\u0000`, false)
	f(`\n\ud83d`, false)
	f(`\ude00`, false)
}

// FuzzUnescape holds unescape against jsontext.
func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{`a\u0065\ud83d\ude00`, `\ud800\udbff`, "\xff\\\\", `\/\b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		quoted := []byte(`"` + raw + `"`)
		if end, _, fault := scanString(quoted, 1); fault != sound || end != len(quoted) {
			return
		}
		got, whole := unescape(nil, []byte(raw))
		want, err := jsontext.AppendUnquote(nil, quoted)
		if lawful := whole && utf8.ValidString(raw); lawful != (err == nil) {
			t.Fatalf("unescape(%q): whole %v, jsontext says %v", raw, whole, err)
		}
		if utf8.ValidString(raw) && string(got) != string(want) {
			t.Fatalf("unescape(%q) = %q, want %q", raw, got, want)
		}
	})
}
