package tokens

import "unicode/utf8"

// Counter counts the tokens of texts, exactly as tiktoken does.
//
// Its time grows with n log n of the longest piece that has no place to split,
// whatever the text. It belongs to one goroutine; what it allocates it keeps:
// up to 4.5 bytes for each byte of the longest piece so far, and thrice that and
// more for bytes that are not UTF-8. The zero Counter is ready; an encoding's
// vocabulary is loaded when it is first asked for.
type Counter struct {
	long     tournament
	short    [scanBytes + 1]pair
	repaired []byte
}

// Count returns the number of tokens of text. A name of a special token in it is
// text like any other. A byte that is not UTF-8 counts as U+FFFD does.
func (c *Counter) Count(e Encoding, text []byte) (n int) {
	v := vocabularyOf(e)
	valid := utf8.Valid(text)
	split := splitters[e]
	for i := 0; i < len(text); {
		end := split(text, i)
		switch {
		case !valid:
			n += c.countPiece(v, c.repair(text[i:end]))
		case v.rank(text, i, end) != none: // as most are
			n++
		default:
			n += c.join(v, text[i:end])
		}
		i = end
	}
	return n
}

// AppendTokens appends the tokens of text, for tests and comparisons.
func (c *Counter) AppendTokens(dst []int, e Encoding, text []byte) []int {
	v := vocabularyOf(e)
	split := splitters[e]
	for i := 0; i < len(text); {
		end := split(text, i)
		dst = c.appendPiece(dst, v, c.repair(text[i:end]))
		i = end
	}
	return dst
}

// splitters find the pieces that are merged each by itself.
var splitters = [encodings]func(text []byte, i int) (end int){
	O200K: splitO200K, CL100K: splitCL100K, P50K: split50K, R50K: split50K,
}

func (c *Counter) countPiece(v *vocabulary, piece []byte) int {
	if v.rank(piece, 0, len(piece)) != none {
		return 1
	}
	return c.join(v, piece)
}

// join returns into how many tokens a piece falls that is not one.
func (c *Counter) join(v *vocabulary, piece []byte) int {
	if len(piece) <= scanBytes {
		return len(scan(v, piece, &c.short))
	}
	return c.long.join(v, piece)
}

func (c *Counter) appendPiece(dst []int, v *vocabulary, piece []byte) []int {
	if rank := v.rank(piece, 0, len(piece)); rank != none {
		return append(dst, int(rank))
	}
	c.join(v, piece)
	for at := 0; at < len(piece); {
		end := c.partEnd(at, len(piece))
		dst = append(dst, int(v.rank(piece, at, end)))
		at = end
	}
	return dst
}

// partEnd is where the part ends that starts at a byte of the piece that was
// joined last.
func (c *Counter) partEnd(at, length int) int {
	if length > scanBytes {
		return c.long.next(at)
	}
	for _, p := range c.short[:] {
		if p.start() > at {
			return p.start()
		}
	}
	return length
}

// repair returns the piece with U+FFFD for each byte that is not UTF-8. It is
// valid until the next one.
func (c *Counter) repair(piece []byte) []byte {
	if utf8.Valid(piece) {
		return piece
	}
	c.repaired = c.repaired[:0]
	for len(piece) > 0 {
		r, n := utf8.DecodeRune(piece)
		c.repaired = utf8.AppendRune(c.repaired, r)
		piece = piece[n:]
	}
	return c.repaired
}
