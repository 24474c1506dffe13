package openai

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// maxModel is how long a model's name may be as it is written. The longest in
// use are resource names of cloud providers, a few hundred bytes.
const maxModel = 4096

// Request is what the gateway looks at in the body of a request. The zero
// value is ready; Parse may be called again and again.
//
// One goroutine owns it together with the body: Model is a view of the body or
// of memory inside the Request, so both must outlive its use.
//
// Names are compared as JSON means them: after unescaping (`mod\u0065l` is
// model) and in exact case (`Model` is some other member and passes through).
// Each name below may stand at most once. The names of the other top-level
// members must be Unicode text without NUL, so that no parser behind this one
// can take them for one of these. Apart from that, bytes in strings pass
// through as they are, UTF-8 or not: the provider judges them.
type Request struct {
	Model   []byte // decoded; nil if absent
	ModelAt Span   // of the JSON value, quotes included
	Stream  bool   // null counts as false

	StreamOptionsAt Span
	IncludeUsage    bool // the client itself asked for usage

	// MaxTokens is the largest of max_tokens, max_completion_tokens and
	// max_output_tokens, N the number of choices. Zero: absent, null or not a
	// number of tokens, which is the provider's to refuse.
	MaxTokens int64
	N         int64

	MessagesAt     Span
	InputAt        Span
	PromptAt       Span
	InstructionsAt Span
	ToolsAt        Span

	streamAt              Span
	maxTokensAt           Span
	maxCompletionTokensAt Span
	maxOutputTokensAt     Span
	nAt                   Span

	membersAt      int  // where the first top-level member would be inserted
	bare           bool // the body has no members
	optionsAt      int  // the same inside stream_options; 0 if that is null or absent
	bareOptions    bool
	includeUsageAt Span

	scratch []byte // the model, if it had escapes
}

// Parse looks through the whole body, which must be one JSON object and
// nothing else. An error is an *Error for the client.
func (q *Request) Parse(body []byte) error {
	*q = Request{scratch: q.scratch[:0]}
	if e := q.scan(body); e != nil {
		return e
	}
	if e := q.interpret(body); e != nil {
		return e
	}
	return nil
}

// scan checks the grammar and notes where the members are.
func (q *Request) scan(body []byte) *Error {
	c := cursor{b: body}
	c.begin()
	if c.fault == sound && c.peek() != '{' {
		return ErrBody("", "The request body must be a JSON object.")
	}
	q.membersAt = c.i + 1
	q.bare = true
	for more := c.open(); more; more = c.next() {
		q.bare = false
		if e := q.note(&c); e != nil {
			return e
		}
	}
	c.finish()
	if c.fault != sound {
		return errBroken(&c, "")
	}
	return nil
}

// note takes the member at hand.
func (q *Request) note(c *cursor) *Error {
	at, param := q.wanted(c.name())
	if at == nil {
		if !lawfulName(c.nameAt.Of(c.b), c.namePlain) {
			return ErrBody("", "A member name in the request body is not Unicode text.")
		}
		c.skip()
		return nil
	}
	if at.Present() {
		return errTwice(param)
	}
	*at = c.skip()
	if c.fault != sound {
		return errBroken(c, param)
	}
	return nil
}

// wanted returns where the span of a member is kept, nil if nobody needs it.
func (q *Request) wanted(name []byte) (at *Span, param string) {
	switch string(name) {
	case "model":
		return &q.ModelAt, "model"
	case "messages":
		return &q.MessagesAt, "messages"
	case "stream":
		return &q.streamAt, "stream"
	case "stream_options":
		return &q.StreamOptionsAt, "stream_options"
	case "max_tokens":
		return &q.maxTokensAt, "max_tokens"
	case "max_completion_tokens":
		return &q.maxCompletionTokensAt, "max_completion_tokens"
	case "max_output_tokens":
		return &q.maxOutputTokensAt, "max_output_tokens"
	case "n":
		return &q.nAt, "n"
	case "input":
		return &q.InputAt, "input"
	case "prompt":
		return &q.PromptAt, "prompt"
	case "instructions":
		return &q.InstructionsAt, "instructions"
	case "tools":
		return &q.ToolsAt, "tools"
	}
	return nil, ""
}

// interpret reads the values that the gateway acts on.
func (q *Request) interpret(body []byte) *Error {
	if e := q.readModel(body); e != nil {
		return e
	}
	var ok bool
	if q.Stream, ok = boolean(q.streamAt.Of(body)); !ok {
		return ErrBody("stream", "stream must be true or false.")
	}
	if e := q.readStreamOptions(body); e != nil {
		return e
	}
	for _, at := range [...]Span{q.maxTokensAt, q.maxCompletionTokensAt, q.maxOutputTokensAt} {
		n, _ := count(at.Of(body))
		q.MaxTokens = max(q.MaxTokens, n)
	}
	q.N, _ = count(q.nAt.Of(body))
	return nil
}

func (q *Request) readModel(body []byte) *Error {
	if !q.ModelAt.Present() {
		return nil
	}
	raw := q.ModelAt.Of(body)
	if raw[0] != '"' {
		return ErrBody("model", "model must be a string.")
	}
	if len(raw) > maxModel {
		return ErrBody("model", "model is too long.")
	}
	raw = raw[1 : len(raw)-1]
	whole := true
	if bytes.IndexByte(raw, '\\') >= 0 {
		q.scratch, whole = unescape(q.scratch, raw)
		raw = q.scratch
	}
	if !whole || !nameable(raw) {
		return ErrBody("model", "model must be the name of a model: Unicode text without control characters.")
	}
	q.Model = raw
	return nil
}

// nameable reports whether a name may go into look-ups, logs and labels.
func nameable(name []byte) bool {
	for _, r := range string(name) {
		if unicode.IsControl(r) {
			return false
		}
	}
	return len(name) > 0 && utf8.Valid(name)
}

func (q *Request) readStreamOptions(body []byte) *Error {
	c := cursor{b: body[:q.StreamOptionsAt.End], i: q.StreamOptionsAt.Start}
	switch c.peek() {
	case 0, 'n': // absent or null
		return nil
	case '{':
	default:
		return ErrBody("stream_options", "stream_options must be an object.")
	}
	q.optionsAt = c.i + 1
	q.bareOptions = true
	for more := c.open(); more; more = c.next() {
		q.bareOptions = false
		if e := q.noteOption(&c); e != nil {
			return e
		}
	}
	var ok bool
	if q.IncludeUsage, ok = boolean(q.includeUsageAt.Of(body)); !ok {
		return ErrBody("stream_options.include_usage", "stream_options.include_usage must be true or false.")
	}
	return nil
}

func (q *Request) noteOption(c *cursor) *Error {
	wanted := string(c.name()) == "include_usage"
	if !wanted && !lawfulName(c.nameAt.Of(c.b), c.namePlain) {
		return ErrBody("stream_options", "A member name in stream_options is not Unicode text.")
	}
	if wanted && q.includeUsageAt.Present() {
		return errTwice("stream_options.include_usage")
	}
	at := c.skip()
	if wanted {
		q.includeUsageAt = at
	}
	return nil
}

// boolean reads true, false, null or nothing at all; the last two are false.
func boolean(raw []byte) (value, ok bool) {
	switch string(raw) {
	case "true":
		return true, true
	case "false", "null", "":
		return false, true
	}
	return false, false
}
