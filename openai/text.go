package openai

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// scanString looks for the end of the string whose inside starts at i: the
// index after its closing quote. plain: it has no escapes.
func scanString(b []byte, i int) (end int, plain bool, f fault) {
	plain = true
	for {
		i = plainEnd(b, i)
		if i == len(b) {
			return i, plain, faultEnd
		}
		switch b[i] {
		case '"':
			return i + 1, plain, sound
		case '\\':
			plain = false
			n := escapeLen(b[i:])
			if n == 0 {
				return i, plain, faultEscape
			}
			i += n
		default:
			return i, plain, faultControl
		}
	}
}

// plainEnd returns the index of the first quote, backslash or control
// character from i on, or len(b).
func plainEnd(b []byte, i int) int {
	// Eight bytes at a time: a byte below n borrows from its own high bit when
	// n is subtracted, and &^ x drops bytes above 0x7f, which are never
	// special. x^2 sorts the quote (0x22) right behind the control characters,
	// so that one subtraction finds both. A borrow may also mark bytes above
	// the first hit, never below: the lowest mark is true.
	//
	// Most strings and most stretches between escapes are short; what is not after
	// a few words is left to the vector unit.
	rest := b[i:]
	for word := 0; len(rest) >= 8; word++ {
		if word == wordsFirst && vector && len(rest) >= vectorAt {
			n := plainVector(&rest[0], len(rest))
			i, rest = i+n, rest[n:]
			continue
		}
		x := binary.LittleEndian.Uint64(rest)
		low := (x ^ 0x02*eachByte) - 0x21*eachByte
		slash := (x ^ '\\'*eachByte) - eachByte
		if hit := (low | slash) &^ x & highBits; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i, rest = i+8, rest[8:]
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// wordsFirst is how many words are looked at before the vector unit is asked.
const wordsFirst = 4

// escapeLen returns the length of the escape that b starts with, 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads the four hex digits of a \u escape.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, d := range b[:4] {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d|0x20 && d|0x20 <= 'f':
			d = d | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// unescape appends the inside of a string that scanString passed. whole is
// false if a surrogate stood alone; U+FFFD is in its place then. Bytes that
// are not UTF-8 stay as they are.
func unescape(dst, raw []byte) (_ []byte, whole bool) {
	whole = true
	for {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			return append(dst, raw...), whole
		}
		dst = append(dst, raw[:n]...)
		raw = raw[n:]
		if raw[1] != 'u' {
			dst = append(dst, unescapedByte(raw[1]))
			raw = raw[2:]
			continue
		}
		r, width := unescapedRune(raw)
		whole = whole && r >= 0
		dst = utf8.AppendRune(dst, r)
		raw = raw[width:]
	}
}

func unescapedByte(b byte) byte {
	switch b {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return b
}

// unescapedRune reads the \u escape that raw starts with, or the two of a
// surrogate pair. A lone surrogate is -1, which encodes as U+FFFD.
func unescapedRune(raw []byte) (r rune, width int) {
	r, _ = hex4(raw[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
		low, _ := hex4(raw[8:])
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return -1, 6
}

// lawfulName reports whether the inside of a member name is Unicode text
// without NUL. Other parsers drop, replace or stop at what is not, and might
// read `model` where this one saw another name.
func lawfulName(raw []byte, plain bool) bool {
	if !utf8.Valid(raw) {
		return false
	}
	for !plain {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			break
		}
		raw = raw[n:]
		width := 2
		if raw[1] == 'u' {
			var r rune
			if r, width = unescapedRune(raw); r <= 0 {
				return false
			}
		}
		raw = raw[width:]
	}
	return true
}
