package tokens

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is what the encodings' patterns ask about a character, a bit each.
type class uint8

const (
	letter  class = 1 << iota // \p{L}
	number                    // \p{N}
	space                     // \s: Unicode's White_Space
	newline                   // [\r\n], spaces too
	symbol                    // [^\s\p{L}\p{N}]
	upper                     // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
	lower                     // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
	mark                      // \p{M}, symbols too
)

// A character's class is found in a block of 256, which many characters share.
const blockBits = 8

// classes is the table of all characters: some 45 KiB, made when a vocabulary
// is first loaded. ascii is its beginning, once more.
var (
	classes struct {
		once   sync.Once
		blocks [(unicode.MaxRune + 1) >> blockBits]uint16
		table  [][1 << blockBits]class
	}
	ascii [utf8.RuneSelf]class
)

func loadClasses() { classes.once.Do(makeClasses) }

func makeClasses() {
	known := map[[1 << blockBits]class]uint16{}
	for b := range classes.blocks {
		block := makeBlock(rune(b) << blockBits)
		at, ok := known[block]
		if !ok {
			at = uint16(len(classes.table))
			known[block] = at
			classes.table = append(classes.table, block)
		}
		classes.blocks[b] = at
	}
	copy(ascii[:], classes.table[classes.blocks[0]][:])
}

func makeBlock(first rune) (block [1 << blockBits]class) {
	for i := range block {
		block[i] = makeClass(first + rune(i))
	}
	return block
}

func makeClass(r rune) (c class) {
	switch {
	case unicode.In(r, unicode.Lu, unicode.Lt):
		return letter | upper
	case unicode.Is(unicode.Ll, r):
		return letter | lower
	case unicode.In(r, unicode.Lm, unicode.Lo):
		return letter | upper | lower
	case unicode.Is(unicode.M, r):
		return symbol | mark | upper | lower
	case unicode.Is(unicode.N, r):
		return number
	case r == '\r' || r == '\n':
		return space | newline
	case unicode.IsSpace(r):
		return space
	}
	return symbol
}

// classAt returns the class and the length of the character at text[i]. A byte
// that is not UTF-8 is U+FFFD, a symbol.
func classAt(text []byte, i int) (class, int) {
	if c := text[i]; c < utf8.RuneSelf {
		return ascii[c], 1
	}
	return wideClassAt(text, i)
}

func wideClassAt(text []byte, i int) (class, int) {
	r, n := utf8.DecodeRune(text[i:])
	return classes.table[classes.blocks[r>>blockBits]][r&(1<<blockBits-1)], n
}

// runOf returns the end of the characters from i on that are of the class.
func runOf(want class, text []byte, i int) int {
	for i < len(text) {
		if c := text[i]; c < utf8.RuneSelf {
			if ascii[c]&want == 0 {
				break
			}
			i++
			continue
		}
		c, n := wideClassAt(text, i)
		if c&want == 0 {
			break
		}
		i += n
	}
	return i
}
