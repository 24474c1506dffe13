package openai

import "bytes"

// PartKind is what a Part of a prompt is.
type PartKind uint8

// The parts of a prompt. What is said of a Part's fields holds for the others
// being empty.
const (
	PartMessage  PartKind = iota // a message of a chat, or an item of the Responses API, begins
	PartText                     // Text: a role, a content, a piece of a tool call
	PartName                     // Text: the name of a message's author
	PartIDs                      // Count: tokens that the client sent as numbers
	PartImage                    // Text: its URL; More: the detail asked for
	PartFunction                 // Text: its name; More: its description
	PartProperty                 // of the last function. Text: its name; Type; More: its description
	PartEnum                     // of the last property
	PartEnumItem                 // Text: an item of that
	PartUnknown                  // something that costs tokens, nobody has said how many
)

// Part is a piece of what a request says to the model. Its bytes are views of
// the body, or of what EachPart uses again: they are valid until the next part.
type Part struct {
	Kind  PartKind
	Text  []byte
	Type  []byte
	More  []byte
	Count int
}

// EachPart gives take what the provider will count as the prompt: messages,
// prompts and inputs, instructions, and the functions that may be called. Texts
// of different parts do not touch: no token reaches across.
//
// body must be the one that was parsed.
func (q *Request) EachPart(body []byte, take func(Part)) {
	w := promptWalk{take: take}
	w.sink.each = w.text
	if q.InstructionsAt.Present() && body[q.InstructionsAt.Start] != 'n' {
		w.enter(q.InstructionsAt, body)
		w.take(Part{Kind: PartMessage})
		w.take(Part{Kind: PartText, Text: system})
		w.texts()
	}
	for _, at := range [...]Span{q.MessagesAt, q.PromptAt, q.InputAt} {
		if at.Present() {
			w.enter(at, body)
			w.inputs()
		}
	}
	if w.ids > 0 {
		w.take(Part{Kind: PartIDs, Count: w.ids})
	}
	if q.ToolsAt.Present() {
		w.enter(q.ToolsAt, body)
		w.tools()
	}
}

// system is the role that instructions have.
var system = []byte("system")

// TextSize is how many bytes of a body may be text, for an estimate that costs
// next to nothing: all but the files within it, that is, the base64 in data:
// URLs. It says how many there are of those.
func TextSize(body []byte) (size, files int) {
	mark := []byte(";base64,")
	for {
		at := bytes.Index(body, mark)
		if at < 0 {
			return size + len(body), files
		}
		size += at + len(mark)
		files++
		body = body[at+len(mark):]
		body = body[max(bytes.IndexByte(body, '"'), 0):]
	}
}

// promptWalk is a cursor that gives away what it finds. It lives for one body.
type promptWalk struct {
	cursor
	take func(Part)
	sink sink // gives texts to take
	ids  int

	rooms [5][]byte // where strings with escapes are read into
}

// The strings of a part that are there at the same time have a room each.
const (
	roomText = iota
	roomType
	roomMore
	roomSaid   // of a text between other members
	roomAuthor // of a message
)

// enter goes to the value at a span.
func (w *promptWalk) enter(at Span, body []byte) {
	w.cursor = cursor{b: body[:at.End], i: at.Start}
}

// inputs takes a value that may be a string, an array of strings, messages or
// token numbers, or an array of arrays of token numbers.
func (w *promptWalk) inputs() {
	if w.peek() != '[' {
		w.input()
		return
	}
	for more := w.open(); more; more = w.next() {
		if w.peek() != '[' {
			w.input()
			continue
		}
		for more := w.open(); more; more = w.next() {
			w.input()
		}
	}
}

// input takes one message, string or token number.
func (w *promptWalk) input() {
	switch first := w.peek(); {
	case first == '{':
		w.message()
	case first == '"':
		w.texts()
	default:
		if first == '-' || '0' <= first && first <= '9' {
			w.ids++
		}
		w.skip()
	}
}

func (w *promptWalk) message() {
	w.take(Part{Kind: PartMessage})
	var author []byte
	chat := false // an item without a role has no author: its name is a function's
	for more := w.open(); more; more = w.next() {
		name := w.name()
		switch {
		case string(name) == "role":
			chat = true
			w.texts()
		case string(name) == "name":
			author = w.str(roomAuthor)
		case string(name) == "type":
			if kind := w.str(roomType); string(kind) != "message" {
				w.take(Part{Kind: PartUnknown})
			}
		case string(name) == "content", string(name) == "output":
			w.content()
		case string(name) == "refusal":
			w.texts()
		case speaks(name): // calls of tools, reasoning: their frame is not published
			w.texts()
			w.take(Part{Kind: PartUnknown})
		default:
			w.skip()
		}
	}
	if author != nil {
		w.author(author, chat)
	}
}

func (w *promptWalk) author(name []byte, chat bool) {
	kind := PartText
	if chat {
		kind = PartName
	}
	w.take(Part{Kind: kind, Text: name})
}

// content takes a content: a string, or an array of parts.
func (w *promptWalk) content() {
	if w.peek() != '[' {
		w.texts()
		return
	}
	for more := w.open(); more; more = w.next() {
		if w.peek() == '{' {
			w.contentPart()
		} else {
			w.texts()
		}
	}
}

func (w *promptWalk) contentPart() {
	var url, detail []byte
	image := false
	for more := w.open(); more; more = w.next() {
		name := w.name()
		switch {
		case string(name) == "type":
			image = w.contentType() || image
		case string(name) == "image_url":
			image = true
			w.imageURL(&url, &detail)
		case string(name) == "detail":
			detail = w.str(roomMore)
		case speaks(name):
			w.texts()
		default:
			w.skip()
		}
	}
	if image {
		w.take(Part{Kind: PartImage, Text: url, More: detail})
	}
}

// contentType reads the type of a part and reports whether it is an image.
func (w *promptWalk) contentType() (image bool) {
	switch string(w.str(roomType)) {
	case "text", "input_text", "output_text", "summary_text", "refusal":
	case "image_url", "input_image":
		return true
	default: // sound, files, what is yet to come
		w.take(Part{Kind: PartUnknown})
	}
	return false
}

// imageURL takes a URL, or an object that has one.
func (w *promptWalk) imageURL(url, detail *[]byte) {
	if w.peek() != '{' {
		*url = w.str(roomText)
		return
	}
	for more := w.open(); more; more = w.next() {
		switch string(w.name()) {
		case "url":
			*url = w.str(roomText)
		case "detail":
			*detail = w.str(roomMore)
		default:
			w.skip()
		}
	}
}

// texts passes over the value at hand and gives away each text in it.
func (w *promptWalk) texts() { w.said(&w.sink) }

// text gives away the inside of a string.
func (w *promptWalk) text(raw []byte, plain bool) {
	w.take(Part{Kind: PartText, Text: w.decoded(roomSaid, raw, plain)})
}

// str passes over the value at hand and returns it if it is a string, else nil.
// It is valid until its room is used again.
func (w *promptWalk) str(room int) []byte {
	if w.peek() != '"' {
		w.skip()
		return nil
	}
	at, plain := w.inner()
	return w.decoded(room, at.Of(w.b), plain)
}

func (w *promptWalk) decoded(room int, raw []byte, plain bool) []byte {
	if plain {
		return raw
	}
	w.rooms[room], _ = unescape(w.rooms[room][:0], raw)
	return w.rooms[room]
}
