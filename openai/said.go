package openai

// AppendText appends what one event of a stream says: content, reasoning,
// refusals, names and arguments of tool calls, legacy text, the deltas of the
// Responses API; unescaped, in the order they stand, nothing between them. It
// is for counting, after Delta.Parse found the data valid.
func AppendText(dst, data []byte) []byte {
	return appendSaid(dst, data, "delta")
}

// AppendAnswerText does for a whole answer what AppendText does for an event.
func AppendAnswerText(dst, body []byte) []byte {
	return appendSaid(dst, body, "output")
}

// appendSaid takes the text of the choices and of one more top-level member.
func appendSaid(dst, body []byte, told string) []byte {
	c := cursor{b: body}
	c.begin()
	if c.peek() != '{' {
		return dst
	}
	k := sink{text: dst, keep: true}
	for more := c.open(); more; more = c.next() {
		switch name := c.name(); {
		case string(name) == "choices":
			c.choices(&k)
		case string(name) == told:
			c.said(&k)
		default:
			c.skip()
		}
	}
	return k.text
}

// choices takes the text of all choices, of one event or whole.
func (c *cursor) choices(k *sink) {
	if c.peek() != '[' {
		c.skip()
		return
	}
	for more := c.open(); more; more = c.next() {
		if c.peek() != '{' {
			c.skip()
			continue
		}
		for more := c.open(); more; more = c.next() {
			if speaks(c.name()) {
				c.said(k)
			} else {
				c.skip()
			}
		}
	}
}

// speaks reports whether the member of a choice, a message, a part of a
// message, a tool call or an item of the Responses API is text, or holds some.
func speaks(name []byte) bool {
	switch string(name) {
	case "delta", "message", "content", "text", "refusal",
		"reasoning_content", "reasoning", "summary",
		"tool_calls", "function_call", "function", "name", "arguments",
		"custom", "input", "output":
		return true
	}
	return false
}

// said passes over the value at hand and takes the text in it: the value
// itself if it is a string, else every string that hangs on it by nothing but
// arrays and members that speak.
func (c *cursor) said(k *sink) {
	if !c.opens() {
		c.take(k)
		return
	}
	outer := c.depth
	more := c.open()
	for c.depth > outer {
		switch {
		case !more:
			more = c.next()
		case c.inObject() && !speaks(c.name()):
			c.skip()
			more = c.next()
		case c.opens():
			more = c.open()
		default:
			c.take(k)
			more = c.next()
		}
	}
}

// take passes over the scalar at hand and takes it if it is a string.
func (c *cursor) take(k *sink) {
	if c.peek() != '"' {
		c.scalar()
		return
	}
	at, plain := c.inner()
	k.take(at.Of(c.b), plain)
}

// sink is where found text goes. The zero sink only notes that there was some.
type sink struct {
	text []byte
	keep bool                         // text is wanted
	any  bool                         // there was a piece that is not empty
	each func(raw []byte, plain bool) // gets the pieces one by one, if it is set
}

func (k *sink) take(raw []byte, plain bool) {
	if len(raw) == 0 {
		return
	}
	k.any = true
	switch {
	case k.each != nil:
		k.each(raw, plain)
	case !k.keep:
	case plain:
		k.text = append(k.text, raw...)
	default:
		k.text, _ = unescape(k.text, raw)
	}
}
