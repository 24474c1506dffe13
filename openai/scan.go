package openai

import "bytes"

// maxDepth is how many objects and arrays may stand in each other. Tool
// schemas need a dozen; the providers' own parsers give up somewhere beyond.
const maxDepth = 512

// nameRoom holds every name that is looked for anywhere in this package, even
// if each of its characters is written as \uXXXX.
const nameRoom = 6 * len("completion_tokens_details")

var byteOrderMark = []byte("\xef\xbb\xbf")

// cursor walks one JSON text from front to back and checks its grammar on the
// way. It does not recurse: the kinds of the open containers are bits.
//
// open, next and skip make every walk:
//
//	for more := c.open(); more; more = c.next() {
//		switch string(c.name()) { // in an object
//		case "wanted": … // take the value: exactly one of skip, open … next
//		default:
//			c.skip()
//		}
//	}
//
// The first fault ends all walks: next returns false from then on. Bytes
// behind a fault are not looked at.
type cursor struct {
	b     []byte
	i     int
	depth int
	fault fault

	nameAt    Span // of the member whose value is at hand, without its quotes
	namePlain bool // it has no escapes

	objects [maxDepth / 64]uint64 // bit d: the container that holds level d is an object
	decoded [nameRoom]byte        // what name returns when there were escapes
}

// ValidJSON reports whether the body is one JSON value and nothing else, as
// RFC 8259 has it, nested no deeper than 512. Like in encoding/json, bytes in
// strings need not be UTF-8.
func ValidJSON(body []byte) bool {
	c := cursor{b: body}
	c.begin()
	c.skip()
	c.finish()
	return c.fault == sound
}

// begin goes to the first value of a whole text.
func (c *cursor) begin() {
	if bytes.HasPrefix(c.b, byteOrderMark) {
		c.stop(faultMark)
		return
	}
	c.space()
	if c.i == len(c.b) {
		c.stop(faultEmpty)
	}
}

// finish makes sure that nothing follows the value.
func (c *cursor) finish() {
	if c.fault != sound {
		return // where it was stays known
	}
	c.space()
	if c.i < len(c.b) {
		c.stop(faultTrailing)
	}
}

// open enters the object or array at hand and reports whether it has a first
// element, whose value is then at hand.
func (c *cursor) open() bool {
	if c.fault != sound {
		return false
	}
	if c.depth == maxDepth {
		return c.stop(faultDepth)
	}
	object := c.b[c.i] == '{'
	c.push(object)
	c.i++
	c.space()
	if c.peek() == closing(object) {
		return c.leave()
	}
	return !object || c.member()
}

// next goes on to the next element after a value and reports whether there is
// one. If there is none the container is left behind.
func (c *cursor) next() bool {
	if c.fault != sound {
		return false
	}
	c.space()
	object := c.inObject()
	switch c.peek() {
	case ',':
		c.i++
		c.space()
		return !object || c.member()
	case closing(object):
		return c.leave()
	}
	return c.stop(c.atEnd(faultComma))
}

// skip passes over the value at hand, whatever it holds.
func (c *cursor) skip() Span {
	start := c.i
	if c.opens() {
		c.nest()
	} else {
		c.scalar()
	}
	return Span{start, c.i}
}

// nest passes over the object or array at hand.
func (c *cursor) nest() {
	outer := c.depth
	more := c.open()
	for c.depth > outer {
		switch {
		case !more:
			more = c.next()
		case c.opens():
			more = c.open()
		default:
			c.scalar()
			more = c.next()
		}
	}
}

// member reads a name and its colon, up to the value.
func (c *cursor) member() bool {
	if c.peek() != '"' {
		return c.stop(c.atEnd(faultName))
	}
	start := c.i + 1
	c.namePlain = c.text()
	c.nameAt = Span{start, c.i - 1}
	if c.fault != sound {
		return false
	}
	c.space()
	if c.peek() != ':' {
		return c.stop(c.atEnd(faultColon))
	}
	c.i++
	c.space()
	return true
}

// name returns the name of the member at hand, decoded; nil when it is so long
// that nobody can be looking for it. It is valid until the cursor moves on.
func (c *cursor) name() []byte {
	return c.word(c.nameAt, c.namePlain)
}

// word decodes the inside of a short string.
func (c *cursor) word(at Span, plain bool) []byte {
	raw := at.Of(c.b)
	if plain {
		return raw
	}
	if len(raw) > len(c.decoded) {
		return nil
	}
	word, _ := unescape(c.decoded[:0], raw)
	return word
}

// stop notes a fault and makes every walk end. It returns false for its callers.
func (c *cursor) stop(f fault) bool {
	if c.fault == sound {
		c.fault = f
	}
	c.depth = 0
	return false
}

func (c *cursor) leave() bool {
	c.i++
	c.depth--
	return false
}

func (c *cursor) push(object bool) {
	word, bit := c.depth/64, uint64(1)<<(c.depth%64)
	if object {
		c.objects[word] |= bit
	} else {
		c.objects[word] &^= bit
	}
	c.depth++
}

func (c *cursor) inObject() bool {
	d := uint(c.depth - 1)
	return c.objects[d/64%uint(len(c.objects))]>>(d%64)&1 == 1
}

func (c *cursor) opens() bool {
	p := c.peek()
	return p == '{' || p == '['
}

// peek returns the byte at hand, 0 at the end: no JSON token starts with it.
func (c *cursor) peek() byte {
	if c.i < len(c.b) {
		return c.b[c.i]
	}
	return 0
}

func (c *cursor) space() {
	for c.i < len(c.b) && isSpace(c.b[c.i]) {
		c.i++
	}
}

// atEnd says that the text was cut rather than wrong, where that is so.
func (c *cursor) atEnd(f fault) fault {
	if c.i >= len(c.b) {
		return faultEnd
	}
	return f
}

func closing(object bool) byte {
	if object {
		return '}'
	}
	return ']'
}

func isSpace(b byte) bool {
	const spaces = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\r'
	return b <= ' ' && uint64(spaces)>>b&1 == 1
}
