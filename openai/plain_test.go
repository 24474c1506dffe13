package openai

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// plainSlow is plainEnd in one line.
func plainSlow(b []byte, i int) int {
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

func TestPlainEndIsTheFirstSpecialByte(t *testing.T) {
	for size := range 200 {
		for _, filler := range []byte{' ', 'a', 0x7f, 0x80, 0xa2, 0xdc, 0xff, '!', '#', '[', ']'} {
			b := bytes.Repeat([]byte{filler}, size)
			for from := 0; from <= size; from += 1 + size/16 {
				if got := plainEnd(b, from); got != size {
					t.Fatalf("%d of %#x from %d: got %d", size, filler, from, got)
				}
			}
			for at := range size {
				for _, special := range []byte{'"', '\\', 0, 0x1f, '\n'} {
					b[at] = special
					if got, want := plainEnd(b, at/2), plainSlow(b, at/2); got != want {
						t.Fatalf("%#x at %d of %d of %#x: got %d, want %d", special, at, size, filler, got, want)
					}
					b[at] = filler
				}
			}
		}
	}
}

func TestPlainEndOnAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "mostly plain") {
			for i := range b {
				if i%97 != 96 {
					b[i] |= 0x60
				}
			}
		}
		from := rapid.IntRange(0, len(b)).Draw(t, "from")
		// What stands behind the slice must not be looked at.
		whole := append(append([]byte(nil), b...), `"""""""""""""""""""""""""""""""""`...)
		if got, want := plainEnd(whole[:len(b):len(b)], from), plainSlow(b, from); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}
