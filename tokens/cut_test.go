package tokens

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// scraps are what the encodings' rules distinguish.
var scraps = []string{
	"a", "The", "word", "it's", "I'LL", "é", "ß", "数据", "ひ", "ก็", "e\u0301", "\u0301", "Ⅷ", "1", "12", "1234", "٣",
	" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "!", "...", "。", "'", "’", "\"", "/", "//", "_", "-", "(", "<|endoftext|>",
	"🙂", "👩‍👩‍👧", "\u200d", "\x00", "camelCase", "HTTPServer", "x=1;\n\n", "\uFFFD",
}

// The place that boundary names may be cut: the counts of both sides add up to
// that of the whole.
func TestBoundary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(scraps), 2, 12).Draw(t, "scraps"), "")
		for n := 1; n < len(text); n++ {
			if !boundary([]byte(text), n) {
				continue
			}
			for e := range encodings {
				if whole, cut := count(e, text), count(e, text[:n])+count(e, text[n:]); whole != cut {
					t.Fatalf("%s: %q has %d tokens, but %q and %q have %d", e, text, whole, text[:n], text[n:], cut)
				}
			}
		}
	})
}

// A text of words is counted as if in one piece, however long.
func TestPiecesOfProse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"The", "quick", "it's", "fox,", "12", "naïve", "数据", "(so", "to)", "x_1", "end.\n"}), 300, 900).Draw(t, "words")
		text := strings.Join(words, " ")
		for e := range encodings {
			budget := len(text)
			tally := &Tally{encoding: e, budget: &budget}
			tally.Text([]byte(text))
			if got, want := tally.Count(), (Count{Tokens: count(e, text)}); got != want {
				t.Fatalf("%s: got %+v, want %+v", e, got, want)
			}
		}
	})
}

// A text without a place to cut is cut anyway, which costs a token or two each time.
func TestPiecesWithoutBoundary(t *testing.T) {
	f := func(scrap string) {
		t.Helper()
		text := strings.Repeat(scrap, 3*pieceBytes/len(scrap))
		for e := range encodings {
			budget := len(text)
			tally := &Tally{encoding: e, budget: &budget}
			tally.Text([]byte(text))
			got, want := tally.Count(), count(e, text)
			if off := got.Tokens - want; got.Estimated || off < -8 || off > 8 {
				t.Errorf("%q, %s: got %+v, want %d±8", scrap, e, got, want)
			}
		}
	}
	f("a")
	f(" ")
	f("!")
	f("数据处理")
	f("🙂")
	f("1")
	f(" \n")
	f("a'")
	f("dGhpcyBpcyBiYXNlNjQ")
}

// No text makes a piece longer than pieceBytes, which bounds the library's
// quadratic time, and none makes many more pieces than bytes ask for, which
// bounds everything else: the work grows with the bytes and no faster.
func TestWorkIsLinear(t *testing.T) {
	f := func(text []byte) {
		t.Helper()
		if pieces, most := len(pieces(t, text)), 2*len(text)/pieceBytes+1; pieces > most {
			t.Errorf("%q…: %d pieces for %d bytes, want at most %d", text[:10], pieces, len(text), most)
		}
	}
	for _, scrap := range scraps {
		f(bytes.Repeat([]byte(scrap), 1<<17/len(scrap)))
	}
	f(bytes.Repeat([]byte{0xff}, 1<<17))
	f(bytes.Repeat([]byte{0x80}, 1<<17))
	f(append(bytes.Repeat([]byte(" a"), pieceBytes/4+1), bytes.Repeat([]byte("b"), 1<<17)...))
}

func FuzzCut(f *testing.F) {
	for _, scrap := range scraps {
		f.Add([]byte(scrap), pieceBytes)
	}
	f.Add([]byte("word "), 3*pieceBytes)
	f.Add([]byte("\xf0\x9f\x99"), pieceBytes+1)
	f.Fuzz(func(t *testing.T, scrap []byte, length int) {
		if len(scrap) == 0 || length < 0 || length > 8*pieceBytes {
			return
		}
		pieces(t, bytes.Repeat(scrap, length/len(scrap)+1))
	})
}

// pieces cuts a text up and checks that nothing is lost or torn.
func pieces(t *testing.T, text []byte) (all [][]byte) {
	t.Helper()
	valid := utf8.Valid(text)
	for rest := text; len(rest) > 0; {
		n, clean := cut(rest)
		switch {
		case n <= 0 || n > pieceBytes:
			t.Fatalf("a piece of %d bytes", n)
		case clean && n < len(rest) && !boundary(rest, n):
			t.Fatalf("cut between %q and %q", rest[:n], rest[n:])
		case valid && !utf8.Valid(rest[:n]):
			t.Fatalf("a character is torn at %d", n)
		}
		all = append(all, rest[:n])
		rest = rest[n:]
	}
	if !bytes.Equal(bytes.Join(all, nil), text) {
		t.Fatal("the pieces are not the text")
	}
	return all
}
