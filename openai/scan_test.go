package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestValidJSON(t *testing.T) {
	f := func(body string, want bool) {
		t.Helper()
		if got := ValidJSON([]byte(body)); got != want {
			t.Errorf("ValidJSON(%.80q) = %v, want %v", body, got, want)
		}
	}

	// values
	f(`{}`, true)
	f(`[]`, true)
	f(`""`, true)
	f(`null`, true)
	f(`true`, true)
	f(`false`, true)
	f(" \t\r\n[ 1 , { \"a\" : [ ] } ] \n", true)
	f(`{"a":1,"a":2}`, true)
	f(`{"":{"":""}}`, true)

	// what is no value
	f(``, false)
	f(`  `, false)
	f("\xef\xbb\xbf{}", false)
	f("\x00", false)
	f(`{}{}`, false)
	f(`{} x`, false)
	f("{}\x00", false)
	f("\v{}", false)
	f("\u00a0{}", false)
	f(`nul`, false)
	f(`nulL`, false)
	f(`truex`, false)
	f(`True`, false)
	f(`NaN`, false)
	f(`'a'`, false)
	f(`// a`, false)

	// containers
	f(`{`, false)
	f(`}`, false)
	f(`[`, false)
	f(`]`, false)
	f(`[}`, false)
	f(`{]`, false)
	f(`[[]}`, false)
	f(`{"a"`, false)
	f(`{"a":`, false)
	f(`{"a":1`, false)
	f(`{"a":1,`, false)
	f(`{"a":1,}`, false)
	f(`{,"a":1}`, false)
	f(`{"a" 1}`, false)
	f(`{"a":}`, false)
	f(`{a:1}`, false)
	f(`{1:1}`, false)
	f(`{"a":1 "b":2}`, false)
	f(`[1,]`, false)
	f(`[,1]`, false)
	f(`[1 2]`, false)
	f(`[1,,2]`, false)
	f(`[1:2]`, false)

	// numbers
	for _, number := range []string{"0", "-0", "1", "10", "0.0", "-1.5", "1e5", "1E+5", "1e-05", "0e0", "123456789012345678901234567890", "1e99999"} {
		f(number, true)
		f("["+number+"]", true)
	}
	for _, number := range []string{"-", "+1", "01", "-01", "1.", ".5", "-.5", "1e", "1e+", "1.e5", "0x1", "1_000", "1,0", "--1", "1e5.5", "٣"} {
		f(number, false)
		f("["+number+"]", number == "1,0")
	}

	// strings
	f(`"\"\\\/\b\f\n\r\t\u0000\uD83D\ude00"`, true)
	f(`"\ud800"`, true) // lone surrogates are grammar's business as little as in encoding/json
	f("\"\x7f\u2028é漢😀\"", true)
	f("\"\xff\xc0\"", true)
	f(`"`, false)
	f(`"\`, false)
	f(`"\"`, false)
	f(`"\x41"`, false)
	f(`"\'"`, false)
	f(`"\u"`, false)
	f(`"\u12"`, false)
	f(`"\u123`, false)
	f(`"\u123g"`, false)
	f(`"\U00e9"`, false)
	for b := range 0x20 {
		f(`"`+string(rune(b))+`"`, false)
		f(`"a plain run of text before`+string(rune(b))+`and behind"`, false)
	}

	// depth
	f(nested("[", 512, "]"), true)
	f(nested("[", 513, "]"), false)
	f(nested(`{"a":`, 511, "}"), false) // the innermost has no value
	f(strings.Repeat(`{"a":`, 512)+"1"+strings.Repeat("}", 512), true)
	f(strings.Repeat(`{"a":`, 513)+"1"+strings.Repeat("}", 513), false)
	f(strings.Repeat(`[`, 100_000), false)
	f(strings.Repeat(`{"a":[`, 5_000_000), false)
	f("["+strings.Repeat(nested("[", 511, "]")+",", 100)+"1]", true)
}

func nested(open string, depth int, end string) string {
	return strings.Repeat(open, depth) + strings.Repeat(end, depth)
}

// Every special byte must be found at every place of the eight-byte steps.
func TestPlainEnd(t *testing.T) {
	for size := range 40 {
		for at := range size {
			for b := range 256 {
				text := []byte(strings.Repeat("é", size)[:size])
				text[at] = byte(b)
				want := size
				if b < ' ' || b == '"' || b == '\\' {
					want = at
				}
				if got := plainEnd(text, 0); got != want {
					t.Fatalf("plainEnd(%q) = %d, want %d", text, got, want)
				}
			}
		}
	}
}

// FuzzValidJSON holds the scanner against two others. The one difference:
// they go 10,000 levels deep.
func FuzzValidJSON(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := ValidJSON(body)
		want := json.Valid(body)
		if want && depthOf(body) > maxDepth {
			want = false
		}
		if got != want {
			t.Fatalf("ValidJSON(%q) = %v, encoding/json says %v", body, got, want)
		}
		lenient := jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if lenient && depthOf(body) > maxDepth {
			lenient = false
		}
		if got != lenient {
			t.Fatalf("ValidJSON(%q) = %v, jsontext says %v", body, got, lenient)
		}
	})
}

// depthOf returns how deep a valid JSON text is nested.
func depthOf(body []byte) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{', b == '[':
			depth++
			deepest = max(deepest, depth)
		case b == '}', b == ']':
			depth--
		}
	}
	return deepest
}

var jsonSeeds = []string{
	`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
	`{"mod\u0065l":"\ud83d\ude00","n":-0.5e+10,"stream_options":{"include_usage":false}}`,
	`[[],{},"",0,-1.5E-3,true,false,null]`,
	"\xef\xbb\xbf{}",
	`{"a":"\u12`,
	"{\"a\":\"\x01\"}",
	"\"\xff\xfe\\uDEAD\"",
	`{"a":1,"a":2,}`,
	` [ 1 , 2 ] x`,
	strings.Repeat("[", 600) + strings.Repeat("]", 600),
}
