package tokens

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Where the patterns split, one line for each thing that they are known for.
func TestSplit(t *testing.T) {
	loadClasses()
	f := func(e Encoding, pieces ...string) {
		t.Helper()
		text := []byte(strings.Join(pieces, ""))
		var got []string
		for i := 0; i < len(text); {
			end := splitters[e](text, i)
			got = append(got, string(text[i:end]))
			i = end
		}
		if !slices.Equal(got, pieces) {
			t.Errorf("%s: %q\n got %q\nwant %q", e, text, got, pieces)
		}
	}
	for e := range encodings {
		f(e)
		f(e, "Hello", ",", " world", "!")
		f(e, " ")
		f(e, "a", "  ")               // at the end all spaces
		f(e, "a", "  ", " b")         // else all but the last, which goes with the word
		f(e, "a", " \u3000", " b")    // whatever spaces they are
		f(e, "a", " ...", "b")        // a space goes with symbols
		f(e, "<|", "endoftext", "|>") // text like any other
	}
	for _, e := range []Encoding{P50K, R50K} {
		f(e, "it", "'s", " I", "'", "LL")
		f(e, " 1234567", "a")
		f(e, "a", "\n \n", " b")
		f(e, "a", "\t", "b")
		f(e, "e", "\u0301", "a")
	}
	f(CL100K, "it", "'s", " I", "'LL", "'s", "up")
	f(CL100K, "123", "456", "7", "a")
	f(CL100K, "a", "\n \n", " b") // lines first
	f(CL100K, "a", "\tb", "!c")   // a word takes one thing before it
	f(CL100K, "!!\n\n", "a", "//\n", "/a")
	f(CL100K, "e", "\u0301a")
	f(CL100K, "HTTPServerName", "1")

	f(O200K, "it's", " I'LL", "'sup", "!") // a contraction goes with its word
	f(O200K, "123", "456", "7", "a")
	f(O200K, "a", "\n \n", " b")
	f(O200K, "!!\n/\n", "a")
	f(O200K, "e\u0301a")
	f(O200K, "HTTPServer", "Name", "ABC")
	f(O200K, " ABCdef", "G")
	f(O200K, "数据Ab")
	f(O200K, "数据", "AB") // a capital has no word to begin
}

// A text is split in time that grows with its length: no piece is looked at
// more than a few times, whatever stands behind it.
func TestSplitGoesForward(t *testing.T) {
	loadClasses()
	for _, scrap := range scraps {
		text := bytes.Repeat([]byte(scrap), 50)
		for e := range encodings {
			for i := 0; i < len(text); {
				end := splitters[e](text, i)
				if end <= i || end > len(text) {
					t.Fatalf("%s: %q is split at %d after %d", e, text, end, i)
				}
				i = end
			}
		}
	}
}
