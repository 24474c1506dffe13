package openai

// Prompt tells what AppendPrompt found besides text.
type Prompt struct {
	Messages int // of a chat, or items of the Responses API
	Names    int // of them with a name
	IDs      int // tokens that the client sent as numbers
}

// AppendPrompt appends the text that the provider will count as the prompt:
// roles, names, contents and tool calls of messages, prompts and inputs of the
// other endpoints, instructions, and the tools as the JSON they are. Each
// piece is followed by a zero byte, because tokens do not reach across pieces.
//
// body must be the one that was parsed.
func (q *Request) AppendPrompt(dst, body []byte) (text []byte, p Prompt) {
	k := sink{text: dst, keep: true, apart: true}
	if q.InstructionsAt.Present() {
		c := q.at(q.InstructionsAt, body)
		c.said(&k)
		p.Messages++
	}
	for _, at := range [...]Span{q.MessagesAt, q.PromptAt, q.InputAt} {
		if at.Present() {
			c := q.at(at, body)
			p.add(&c, &k)
		}
	}
	if q.ToolsAt.Present() {
		k.take(q.ToolsAt.Of(body), true)
	}
	return k.text, p
}

func (q *Request) at(at Span, body []byte) cursor {
	return cursor{b: body[:at.End], i: at.Start}
}

// add takes a value that may be a string, an array of strings, messages or
// token numbers, or an array of arrays of token numbers.
func (p *Prompt) add(c *cursor, k *sink) {
	if c.peek() != '[' {
		p.piece(c, k)
		return
	}
	for more := c.open(); more; more = c.next() {
		if c.peek() != '[' {
			p.piece(c, k)
			continue
		}
		for more := c.open(); more; more = c.next() {
			p.piece(c, k)
		}
	}
}

// piece takes one message, string or token number.
func (p *Prompt) piece(c *cursor, k *sink) {
	switch first := c.peek(); first {
	case '{':
		p.message(c, k)
	case '[':
		c.skip()
	default:
		if first == '-' || '0' <= first && first <= '9' {
			p.IDs++
		}
		c.take(k)
	}
}

func (p *Prompt) message(c *cursor, k *sink) {
	p.Messages++
	for more := c.open(); more; more = c.next() {
		name := c.name()
		switch {
		case string(name) == "name" && c.peek() == '"':
			p.Names++
			c.take(k)
		case string(name) == "role" || speaks(name):
			c.said(k)
		default:
			c.skip()
		}
	}
}
