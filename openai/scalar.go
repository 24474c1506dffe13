package openai

// scalar passes over the string, number or literal at hand.
func (c *cursor) scalar() {
	switch c.peek() {
	case '"':
		c.text()
	case 't':
		c.literal("true")
	case 'f':
		c.literal("false")
	case 'n':
		c.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		c.number()
	default:
		c.stop(c.atEnd(faultValue))
	}
}

// text passes over the string at hand and reports whether it has no escapes.
func (c *cursor) text() (plain bool) {
	end, plain, f := scanString(c.b, c.i+1)
	c.i = end
	if f != sound {
		c.stop(f)
	}
	return plain
}

// inner passes over the string at hand and returns what is between its quotes.
func (c *cursor) inner() (at Span, plain bool) {
	start := c.i + 1
	plain = c.text()
	if c.fault != sound {
		return Span{start, start}, true
	}
	return Span{start, c.i - 1}, plain
}

func (c *cursor) literal(word string) {
	if len(c.b)-c.i < len(word) || string(c.b[c.i:c.i+len(word)]) != word {
		c.stop(faultValue)
		return
	}
	c.i += len(word)
}

// number passes over the number at hand: -? int frac? exp?
func (c *cursor) number() {
	if c.peek() == '-' {
		c.i++
	}
	if c.peek() == '0' {
		c.i++
	} else if !c.digits() {
		return
	}
	if c.peek() == '.' {
		c.i++
		if !c.digits() {
			return
		}
	}
	if c.peek()|0x20 == 'e' {
		c.i++
		if p := c.peek(); p == '+' || p == '-' {
			c.i++
		}
		c.digits()
	}
}

// digits passes over at least one digit.
func (c *cursor) digits() bool {
	start := c.i
	for c.i < len(c.b) && c.b[c.i]-'0' <= 9 {
		c.i++
	}
	return c.i > start || c.stop(c.atEnd(faultNumber))
}

// maxCount bounds the numbers that are believed: 2^40 tokens are absurd.
const maxCount = 1 << 40

// count reads a number as a count: digits alone, at most maxCount. Anything
// else (negative, fractional, with an exponent, a string, null) is none.
func count(raw []byte) (n int64, ok bool) {
	if len(raw) == 0 || len(raw) > 13 {
		return 0, false
	}
	for _, d := range raw {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if n > maxCount {
		return 0, false
	}
	return n, true
}
