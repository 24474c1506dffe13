package tokens

import (
	"bytes"
	"go/build"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// sampleBytes is the length of each sample.
const sampleBytes = 256 << 10

// sample makes one of files, which are repeated until there is enough.
func sample(t testing.TB, patterns ...string) []byte {
	t.Helper()
	var text []byte
	for _, pattern := range patterns {
		names, _ := filepath.Glob(filepath.FromSlash(pattern))
		for _, name := range names {
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, file...)
		}
	}
	if len(text) == 0 {
		t.Fatalf("no files like %s", patterns)
	}
	return fill(text, sampleBytes)
}

func fill(text []byte, size int) []byte {
	return bytes.Repeat(text, size/len(text)+1)[:size]
}

func prose(t testing.TB) []byte   { return sample(t, "../README.md", "../docs/*.md", "../docs/adr/*.md") }
func code(t testing.TB) []byte    { return sample(t, build.Default.GOROOT+"/src/net/http/*.go") }
func chinese(t testing.TB) []byte { return sample(t, "../README_CN.md") }

// hostile are texts that somebody sends to make counting slow: nothing in them
// to split at, or as much to split as can be.
func hostile(size int) map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	random, letters := make([]byte, size), make([]byte, size)
	for i := range random {
		random[i] = byte(r.IntN(256))
		letters[i] = "abcdefghijklmnopqrstuvwxyz"[r.IntN(26)]
	}
	var ideographs []byte
	for len(ideographs) < size {
		ideographs = append(ideographs, string(rune(0x4e00+r.IntN(0x5200)))...)
	}
	return map[string][]byte{
		"one letter":         fill([]byte("a"), size),
		"one capital":        fill([]byte("A"), size),
		"one long word":      letters,
		"spaces":             fill([]byte(" "), size),
		"spaces and lines":   fill([]byte(" \n"), size),
		"lines, then spaces": append(fill([]byte("\n"), size/2), fill([]byte(" "), size/2)...),
		"one digit":          fill([]byte("1"), size),
		"random bytes":       random,
		"ideographs":         ideographs,
		"one ideograph":      fill([]byte("数"), size),
		"emoji":              fill([]byte("👩‍👩‍👧"), size),
		"marks":              fill([]byte("\u0301"), size),
		"symbols":            fill([]byte("!=-"), size),
		"apostrophes":        fill([]byte("'"), size),
		"contractions":       fill([]byte("'ll's"), size),
		"bad bytes":          fill([]byte("\xff"), size),
		"letter, capitals":   append([]byte("ʰ"), fill([]byte("A"), size-2)...),
		"many short pieces":  fill([]byte("a b\nc1!"), size),
	}
}
