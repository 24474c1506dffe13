package metrics

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLabel(t *testing.T) {
	r := New(Options{})
	f := func(value string, want Label) {
		t.Helper()
		if got := r.Label(value); got != want {
			t.Errorf("%q: got %d, want %d", value, got, want)
		}
	}
	f("none", None)
	f("other", Other)
	f("anonymous", Anonymous)
	f("a", r.Label("a"))

	// A scrape that shows the same series twice is refused as a whole.
	f("a\xff", r.Label("a\xfe"))
	f("a\xff", r.Label("a\uFFFD"))
}

func TestQuoting(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		r := New(Options{})
		if got := r.labels.render("l", r.Label(value)); got != "l="+want {
			t.Errorf("%q: got %s, want l=%s", value, got, want)
		}
	}
	f("", `""`)
	f("gpt-4", `"gpt-4"`)
	f(`a"b`, `"a\"b"`)
	f(`a\b`, `"a\\b"`)
	f("a\nb", `"a\nb"`)
	f("数据\t🙂", "\"数据\t🙂\"")
	f("\xc3(", "\"\uFFFD(\"")
}

// Whatever a name holds, it is one line, UTF-8, and comes back as it was.
func TestQuotingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\\\"\nab")))).Draw(t, "value"))
		r := New(Options{})
		line := r.labels.render("l", r.Label(value))
		if strings.ContainsRune(line, '\n') || !utf8.ValidString(line) {
			t.Fatalf("%q is printed as %q", value, line)
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(line, `l="`), `"`)
		if got, want := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(inner), strings.ToValidUTF8(value, "\uFFFD"); got != want {
			t.Fatalf("%q comes back as %q", want, got)
		}
	})
}
