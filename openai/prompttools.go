package openai

// functionSpec is what counts of a function that may be called.
type functionSpec struct {
	name        []byte
	description []byte
	parameters  Span
	inner       Span // where all this is, if it is not here
	foreign     bool // it is a tool of another type
}

// tools takes an array of tools.
func (w *promptWalk) tools() {
	if w.peek() != '[' {
		w.raw(w.skip())
		return
	}
	for more := w.open(); more; more = w.next() {
		w.tool()
	}
}

// tool takes a function. Of other tools it is not known what the model sees:
// their JSON is there instead.
func (w *promptWalk) tool() {
	at := w.skip()
	outer := w.cursor
	f := w.functionSpec(at)
	if f.inner.Present() && !f.foreign {
		f = w.functionSpec(f.inner)
	}
	if f.foreign || len(f.name) == 0 {
		w.cursor = outer
		w.raw(at)
		return
	}
	w.function(&f)
	w.cursor = outer
}

func (w *promptWalk) function(f *functionSpec) {
	w.take(Part{Kind: PartFunction, Text: f.name, More: f.description})
	if f.description == nil {
		w.take(Part{Kind: PartUnknown}) // the recipe wants one
	}
	if f.parameters.Present() {
		w.again(f.parameters)
		w.parameters()
	}
}

// functionSpec reads a function, or a tool of the Chat API, which holds one, or
// of the Responses API, which is one.
func (w *promptWalk) functionSpec(at Span) (f functionSpec) {
	if w.again(at); w.peek() != '{' {
		return functionSpec{foreign: true}
	}
	for more := w.open(); more; more = w.next() {
		switch string(w.name()) {
		case "type":
			f.foreign = string(w.str(roomType)) != "function"
		case "name":
			f.name = w.str(roomText)
		case "description":
			f.description = w.str(roomMore)
		case "parameters":
			f.parameters = w.skip()
		case "function":
			f.inner = w.skip()
		default:
			w.skip()
		}
	}
	return f
}

// parameters takes the properties of a JSON schema.
func (w *promptWalk) parameters() {
	if w.peek() != '{' {
		w.raw(w.skip())
		return
	}
	for more := w.open(); more; more = w.next() {
		switch string(w.name()) {
		case "properties":
			w.properties()
		case "type", "required", "additionalProperties", "title", "$schema":
			w.skip()
		default:
			w.raw(w.skip())
		}
	}
}

func (w *promptWalk) properties() {
	if w.peek() != '{' {
		w.raw(w.skip())
		return
	}
	for more := w.open(); more; more = w.next() {
		name := w.decoded(roomText, w.nameAt.Of(w.b), w.namePlain)
		w.property(name)
	}
}

// property takes one property. What the recipe does not know of, a schema
// within it for one, is there as JSON: this takes each byte once.
func (w *promptWalk) property(name []byte) {
	if w.peek() != '{' {
		w.raw(w.skip())
		return
	}
	p := Part{Kind: PartProperty, Text: name}
	var enum Span
	for more := w.open(); more; more = w.next() {
		switch string(w.name()) {
		case "type":
			p.Type = w.str(roomType)
		case "description":
			p.More = w.str(roomMore)
		case "enum":
			enum = w.skip()
		default:
			w.raw(w.skip())
		}
	}
	w.take(p)
	if p.Type == nil || p.More == nil {
		w.take(Part{Kind: PartUnknown})
	}
	if enum.Present() {
		outer := w.cursor
		w.again(enum)
		w.enum()
		w.cursor = outer
	}
}

func (w *promptWalk) enum() {
	if w.peek() != '[' {
		w.raw(w.skip())
		return
	}
	w.take(Part{Kind: PartEnum})
	for more := w.open(); more; more = w.next() {
		if w.peek() == '"' {
			w.take(Part{Kind: PartEnumItem, Text: w.str(roomText)})
			continue
		}
		at := w.skip()
		w.take(Part{Kind: PartEnumItem, Text: at.Of(w.b)})
	}
}

// again goes to a value that was passed over.
func (w *promptWalk) again(at Span) { w.cursor = cursor{b: w.b[:at.End], i: at.Start} }

// raw gives away a value as the JSON it is; null is nothing.
func (w *promptWalk) raw(at Span) {
	text := at.Of(w.b)
	if string(text) == "null" {
		return
	}
	w.take(Part{Kind: PartText, Text: text})
	w.take(Part{Kind: PartUnknown})
}
