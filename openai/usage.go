package openai

// Usage is what a provider says that an answer cost, in tokens. Cached is the
// part of Prompt that was cheaper, Reasoning the part of Completion that
// nobody sees.
type Usage struct{ Prompt, Completion, Cached, Reasoning int64 }

// ParseUsage finds the usage in a whole answer: of chat, completions and
// embeddings (prompt_tokens, completion_tokens) as well as of responses and
// images (input_tokens, output_tokens). It stops at what it was looking for;
// ValidJSON tells whether all of the answer is JSON.
func ParseUsage(body []byte) (Usage, bool) {
	c := cursor{b: body}
	c.begin()
	if c.peek() != '{' {
		return Usage{}, false
	}
	for more := c.open(); more; more = c.next() {
		if string(c.name()) != "usage" {
			c.skip()
			continue
		}
		if u, ok := c.usage(); ok {
			return u, true
		}
	}
	return Usage{}, false
}

// usage reads the value at hand. It is none if it is no object (null, while a
// stream is under way) or has no count in it. Counts that are no counts, like
// negative ones, are passed over.
func (c *cursor) usage() (u Usage, ok bool) {
	if c.peek() != '{' {
		c.skip()
		return u, false
	}
	var total int64
	for more := c.open(); more; more = c.next() {
		switch string(c.name()) {
		case "prompt_tokens", "input_tokens":
			ok = c.count(&u.Prompt) || ok
		case "completion_tokens", "output_tokens":
			ok = c.count(&u.Completion) || ok
		case "total_tokens":
			c.count(&total)
		case "prompt_tokens_details", "input_tokens_details":
			c.detail("cached_tokens", &u.Cached)
		case "completion_tokens_details", "output_tokens_details":
			c.detail("reasoning_tokens", &u.Reasoning)
		default:
			c.skip()
		}
	}
	if !ok && total > 0 { // rerankers and some embedders say no more than this
		u.Prompt, ok = total, true
	}
	return u, ok && c.fault == sound
}

// count reads the value at hand into n. Of two spellings of one count (some
// gateways send both, one of them 0) the larger is kept.
func (c *cursor) count(n *int64) bool {
	at := c.skip()
	if c.fault != sound {
		return false
	}
	value, ok := count(at.Of(c.b))
	if ok {
		*n = max(*n, value)
	}
	return ok
}

// detail reads one count of the object at hand, if it is one.
func (c *cursor) detail(name string, n *int64) {
	if c.peek() != '{' {
		c.skip()
		return
	}
	for more := c.open(); more; more = c.next() {
		if string(c.name()) == name {
			c.count(n)
		} else {
			c.skip()
		}
	}
}
