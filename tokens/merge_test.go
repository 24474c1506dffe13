package tokens

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Both ways to join make the same parts of a piece, which the library's third
// way makes, too.
func TestTournamentSameAsScan(t *testing.T) {
	var long tournament
	var room [scanBytes + 1]pair
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("aaab \n!1"))), 2, scanBytes).Draw(t, "piece")
		for e := range encodings {
			v := vocabularyOf(e)
			n := long.join(v, piece)
			got := []int{}
			for at := 0; at < len(piece); at = long.next(at) {
				got = append(got, at)
			}
			want := []int{}
			for _, p := range scan(v, piece, &room) {
				want = append(want, p.start())
			}
			if !slices.Equal(got, want) || n != len(want) {
				t.Fatalf("%s: %q is joined to %v (%d), want %v", e, piece, got, n, want)
			}
		}
	})
}

// Long pieces without a place to split are what the tournament is for.
func TestLongPiecesSameAsTiktoken(t *testing.T) {
	var c Counter
	f := func(scrap string, bytes int) {
		t.Helper()
		text := strings.Repeat(scrap, bytes/len(scrap)+1)[:bytes]
		for e := range encodings {
			same(t, &c, e, text, oracle(t, e).EncodeOrdinary(text))
		}
	}
	for _, n := range []int{scanBytes - 1, scanBytes, scanBytes + 1, 127, 128, 129, 255, 256, 257, 1023, 1025} {
		f("a", n)
		f(" ", n)
	}
	for _, scrap := range []string{"!", "ab", "abc", "数据处理", "🙂", "dGhpcyBpcyBiYXNlNjQ", "Ab", "\u0301", "=-", "\n ", "the"} {
		f(scrap, 700)
	}
}

// The tournament works the same whatever it did before.
func TestTournamentIsUsedAgain(t *testing.T) {
	var used Counter
	for _, n := range []int{5000, 97, 300, 20000, 129, 4096} {
		text := bytes.Repeat([]byte("xyzzy"), n/5+1)[:n]
		fresh := new(Counter)
		if got, want := used.Count(O200K, text), fresh.Count(O200K, text); got != want {
			t.Errorf("%d bytes: %d tokens, want %d", n, got, want)
		}
	}
}

// Every token of a vocabulary is found, and is itself as a text of one piece
// would be; nothing else is found.
func TestVocabularyIsWhole(t *testing.T) {
	var padded []byte
	for e := range encodings {
		v := vocabularyOf(e)
		words := 0
		eachWord(t, e, func(word []byte, rank uint32) {
			words++
			padded = append(append(padded[:0], word...), "12345678"...)
			if got := v.rank(padded, 0, len(word)); got != rank {
				t.Fatalf("%s: %q has rank %d, want %d", e, word, got, rank)
			}
			if got := v.rank(word, 0, len(word)); got != rank {
				t.Fatalf("%s: %q at the end of a text has rank %d, want %d", e, word, got, rank)
			}
		})
		taken := len(v.long.ranks) - 1
		for _, key := range v.short.keys {
			if key != 0 {
				taken++
			}
		}
		if taken != words {
			t.Errorf("%s has %d tokens, want %d", e, taken, words)
		}
	}
}
