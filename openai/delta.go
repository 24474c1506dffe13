package openai

// Delta is what the gateway needs to know of one event of a stream. The zero
// value is ready; Parse sets all of it and keeps nothing of the data.
//
// More than one of Finished, Failed and HasUsage may hold for one event. A
// whole answer can be read like an event: Valid, Failed, Finishes and Usage
// mean the same there.
type Delta struct {
	Valid    bool // JSON, or the end mark
	Done     bool // the end mark [DONE]
	Finished bool // a choice, or the response, says why it is over
	Failed   bool // the provider reports an error
	HasText  bool // AppendText would find some
	HasUsage bool

	// UsageOnly: there is nothing in the event but the usage that was asked
	// for: the one to take out when the client did not ask.
	UsageOnly bool

	Finishes int // choices that are over with this event; 1 for a response
	Usage    Usage
}

// Parse reads the data of an event. Names count only where they mean
// something, in exact case: text that looks like JSON is text.
func (d *Delta) Parse(data []byte) {
	d.ParseEvent(nil, data)
}

// ParseEvent is Parse for events that may have their name in a line of its
// own instead of as "type" in the data.
func (d *Delta) ParseEvent(name, data []byte) {
	*d = Delta{}
	if isDone(data) {
		d.Valid, d.Done = true, true
		return
	}
	c := cursor{b: data}
	c.begin()
	if c.peek() == '{' {
		d.object(&c, name)
	} else {
		c.skip()
	}
	c.finish()
	if c.fault != sound {
		*d = Delta{}
		return
	}
	d.Valid = true
}

// object reads the event itself, up to the end of the object.
func (d *Delta) object(c *cursor, name []byte) {
	typed, others := len(name) > 0, false
	d.kind(name)
	for more := c.open(); more; more = c.next() {
		switch string(c.name()) {
		case "choices":
			others = d.choices(c) || others
		case "usage":
			d.usage(c)
		case "response":
			d.response(c)
		case "delta":
			d.text(c)
		case "error":
			d.Failed = c.peek() == '{' || c.peek() == '"' && c.isSomething() || d.Failed
			c.skip()
		case "object":
			d.Failed = string(c.short()) == "error" || d.Failed
		case "type":
			typed = true
			d.kind(c.short())
		default:
			c.skip()
		}
	}
	if d.Finished && d.Finishes == 0 {
		d.Finishes = 1
	}
	d.Finished = d.Finishes > 0
	d.UsageOnly = d.HasUsage && !others && !typed && !d.Failed
}

// kind takes the type of an event that has one.
func (d *Delta) kind(name []byte) {
	switch string(name) {
	case "error":
		d.Failed = true
	case "response.failed":
		d.Failed, d.Finished = true, true
	case "response.completed", "response.incomplete",
		"image_generation.completed", "image_edit.completed",
		"speech.audio.done", "transcript.text.done":
		d.Finished = true
	}
}

// choices reads the choices of a chunk and reports whether there are any.
func (d *Delta) choices(c *cursor) (any bool) {
	if c.peek() != '[' {
		any = c.isSomething()
		c.skip()
		return any
	}
	for more := c.open(); more; more = c.next() {
		any = true
		if c.peek() == '{' {
			d.choice(c)
		} else {
			c.skip()
		}
	}
	return any
}

func (d *Delta) choice(c *cursor) {
	for more := c.open(); more; more = c.next() {
		name := c.name()
		switch {
		case string(name) == "finish_reason":
			d.finish(c)
		case speaks(name):
			d.text(c)
		default:
			c.skip()
		}
	}
}

// finish reads a reason. Some providers send "" where others send null.
func (d *Delta) finish(c *cursor) {
	if c.isSomething() {
		d.Finishes++
	}
	c.skip()
}

func (d *Delta) text(c *cursor) {
	var k sink
	c.said(&k)
	d.HasText = d.HasText || k.any
}

// usage reads the usage of a chunk. Of several the last counts.
func (d *Delta) usage(c *cursor) {
	if u, ok := c.usage(); ok {
		d.Usage, d.HasUsage = u, true
	}
}

// response reads the response that events of the Responses API carry.
func (d *Delta) response(c *cursor) {
	if c.peek() != '{' {
		c.skip()
		return
	}
	for more := c.open(); more; more = c.next() {
		if string(c.name()) == "usage" {
			d.usage(c)
		} else {
			c.skip()
		}
	}
}

// isSomething reports whether the value at hand is neither null nor "".
func (c *cursor) isSomething() bool {
	switch c.peek() {
	case 'n':
		return false
	case '"':
		return c.i+1 < len(c.b) && c.b[c.i+1] != '"'
	}
	return true
}

// short passes over the value at hand and returns it if it is a short string.
func (c *cursor) short() []byte {
	if c.peek() != '"' {
		c.skip()
		return nil
	}
	return c.word(c.inner())
}

// isDone reports whether the data is the end mark, with or without space.
func isDone(data []byte) bool {
	for len(data) > 0 && isSpace(data[0]) {
		data = data[1:]
	}
	for len(data) > 0 && isSpace(data[len(data)-1]) {
		data = data[:len(data)-1]
	}
	return string(data) == "[DONE]"
}
