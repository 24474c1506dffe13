package tokens

import (
	"flag"
	"go/build"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// texts is raised for a long run, which takes some minutes a million:
//
//	go test ./tokens -run SameAsTiktoken -texts 1000000 -timeout 2h
var texts = flag.Int("texts", 500, "random texts of each encoding to compare with tiktoken-go; and 300 times as many bytes of real ones")

// scraps are what the patterns distinguish, alone or with their neighbours.
var scraps = []string{
	"a", "The", "word", "it's", "I'LL", "é", "ß", "数据", "ひ", "ก็", "e\u0301", "\u0301", "Ⅷ", "1", "12", "1234", "٣", "²", "½",
	" ", "  ", "\t", "\n", "\r\n", "\r", "\v", "\u0085", "\u00a0", "\u2028", "\u3000", "\ufeff", "\u200b", "\u1680", "\u180e",
	"!", "...", "。", "'", "’", "\"", "/", "//", "_", "-", "(", "<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>",
	"🙂", "👩‍👩‍👧", "\u200d", "\x00", "\x1f", "\x7f", "camelCase", "HTTPServer", "x=1;\n\n", "\uFFFD", "A", "ABC", "ǅ", "ʰ", "ー", "İ", "ı",
	"'S", "'re", "'Ve", "'lL", "'M", "'d", "'T", "'ſ", "'x", "'l", "'r", "Å", "K",
	"\xff", "\xe6\x95", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x99",
}

// randomText is of scraps, characters of every kind, runs and bytes.
func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(12) {
		switch r.IntN(12) {
		case 0:
			b.WriteRune(rune(r.IntN(0x110000)))
		case 1:
			b.WriteRune(rune(r.IntN(0x3000)))
		case 2:
			b.WriteRune(rune(0x4e00 + r.IntN(0x5200)))
		case 3:
			b.WriteByte(byte(r.IntN(256)))
		case 4:
			b.WriteString(strings.Repeat(scraps[r.IntN(len(scraps))], 1+r.IntN(40)))
		case 5:
			for range r.IntN(150) {
				b.WriteByte("abcdefghijklmnopqrstuvwxyzABC"[r.IntN(29)])
			}
		default:
			b.WriteString(scraps[r.IntN(len(scraps))])
		}
	}
	return b.String()
}

// same holds a text's tokens, and their number, against the library's. A byte
// that is not UTF-8 is U+FFFD to both.
func same(t interface {
	Helper()
	Fatalf(string, ...any)
}, c *Counter, e Encoding, text string, want []int,
) {
	t.Helper()
	if got := c.AppendTokens(nil, e, []byte(text)); !slices.Equal(got, want) {
		t.Fatalf("%s: %q is\n%v, want\n%v", e, text, got, want)
	}
	if got := c.Count(e, []byte(text)); got != len(want) {
		t.Fatalf("%s: %q has %d tokens, want %d", e, text, got, len(want))
	}
}

func TestRandomTextsSameAsTiktoken(t *testing.T) {
	for e := range encodings {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			var c Counter
			library := oracle(t, e)
			r := rand.New(rand.NewPCG(1, uint64(e)))
			for range *texts {
				text := randomText(r)
				same(t, &c, e, text, library.EncodeOrdinary(text))
			}
		})
	}
}

func TestSameAsTiktokenProperty(t *testing.T) {
	var c Counter
	for e := range encodings {
		oracle(t, e)
	}
	draw := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(scraps), rapid.String()), 1, 8)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(draw.Draw(t, "scraps"), "")
		for e := range encodings {
			same(t, &c, e, text, oracles[e].made.EncodeOrdinary(text))
		}
	})
}

// realTexts gives take the files of a tree, up to some bytes in all.
func realTexts(t *testing.T, root string, limit int, take func(text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(name); {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root:
			return fs.SkipDir
		case limit <= 0:
			return fs.SkipAll
		case !d.Type().IsRegular() || ext != ".go" && ext != ".md" && ext != ".txt" && ext != ".html" && ext != ".s" && ext != ".yaml":
			return nil
		}
		text, err := os.ReadFile(name)
		text = text[:min(len(text), limit)]
		limit -= len(text)
		take(string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Prose, code and tables; the languages that people write.
func TestRealTextsSameAsTiktoken(t *testing.T) {
	share := 100 * *texts
	for e := range encodings {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			var c Counter
			library := oracle(t, e)
			check := func(text string) { same(t, &c, e, text, library.EncodeOrdinary(text)) }
			realTexts(t, "testdata", share, check)
			realTexts(t, "..", share, check)
			realTexts(t, filepath.Join(build.Default.GOROOT, "src", "unicode"), share, check)
			if share > 1<<20 {
				realTexts(t, filepath.Join(build.Default.GOROOT, "src"), share, check)
			}
		})
	}
}

// FuzzSameAsTiktoken has seeds in testdata/fuzz, too.
func FuzzSameAsTiktoken(f *testing.F) {
	for _, scrap := range scraps {
		f.Add(scrap + " " + scrap)
	}
	for e := range encodings {
		oracle(f, e)
	}
	var c Counter
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			return // the library takes the square of that
		}
		for e := range encodings {
			same(t, &c, e, text, oracle(t, e).EncodeOrdinary(text))
		}
	})
}
