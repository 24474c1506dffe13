package tokens

import (
	"unicode"
	"unicode/utf8"
)

// pieceBytes is the most that is counted in one go. The library's time grows
// with the square of a piece without spaces, so this bounds the time per byte.
const pieceBytes = 1 << 10

// cut returns the length of the first piece of text, and whether it ends where
// the encodings always end a token, so that the pieces' counts add up to that
// of the whole. Where there is no such place the piece is cut between two
// characters, which costs a token or two.
func cut(text []byte) (n int, clean bool) {
	if len(text) <= pieceBytes {
		return len(text), true
	}
	// The last place in the second half, so that pieces do not become tiny.
	for n = pieceBytes; n > pieceBytes/2; n-- {
		if boundary(text, n) {
			return n, true
		}
	}
	for n = pieceBytes; n > pieceBytes-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return n, false
		}
	}
	return pieceBytes, false // no UTF-8
}

// boundary reports whether a token surely ends before text[n]: a letter or
// digit stands before it, and after it something that no word or number goes
// on with. (A mark goes on with a word, and so does the apostrophe of "it's".)
func boundary(text []byte, n int) bool {
	after, _ := utf8.DecodeRune(text[n:])
	if after == '\'' || after == utf8.RuneError || unicode.In(after, unicode.L, unicode.N, unicode.M) {
		return false
	}
	before, _ := utf8.DecodeLastRune(text[:n])
	return before != utf8.RuneError && unicode.In(before, unicode.L, unicode.N)
}
