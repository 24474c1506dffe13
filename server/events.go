package server

import (
	"errors"
	"io"

	"llmproxy/openai"
	"llmproxy/upstream"
)

// events relays a stream of server-sent events (WHATWG HTML, 9.2), whole
// events at a time: what one read of the provider brings goes to the client in
// one write. Until the first data event is in hand nothing is sent.
//
// buf[:ready] is checked and waits to be written; buf[ready:] is the beginning
// of an event whose end has not come. An event longer than MaxEventBytes ends
// the stream.
type events struct {
	open     bool
	buf      []byte
	ready    int
	split    openai.Splitter
	delta    openai.Delta
	finished bool // a finish_reason was said: the answer is whole
	done     bool // the stream's last word was said: nothing more is read
	failed   bool // the provider sent an error event of its own
	data     int  // data events kept
	err      error
}

func (e *events) reset() {
	*e = events{buf: kept(e.buf)}
}

// eventBuffer is the room that a stream begins with.
const eventBuffer = 4 << 10

var errEventTooLong = errors.New("an event is longer than MAX_EVENT_BYTES")

// receiveEvents reads up to the stream's first data event, the commit point.
func (x *exchange) receiveEvents() error {
	e := &x.events
	e.reset()
	if e.buf == nil {
		e.buf = make([]byte, 0, eventBuffer)
	}
	x.attempt.Await(upstream.FirstEvent)
	for e.data == 0 {
		if err := x.readEvents(); err != nil {
			return firstEventError(err)
		}
		if e.failed {
			return &garbageError{errors.New("the stream began with an error event")}
		}
	}
	x.firstAt = now()
	x.attempt.Await(upstream.Event)
	e.open = true
	return nil
}

func firstEventError(err error) error {
	if err == io.EOF {
		return &garbageError{errors.New("the stream ended before its first event")}
	}
	return err
}

// readEvents reads once from the provider and checks the events that this
// completes.
func (x *exchange) readEvents() error {
	e := &x.events
	if len(e.buf) == cap(e.buf) {
		if len(e.buf) >= x.s.MaxEventBytes {
			return errEventTooLong
		}
		e.buf = grow(e.buf, -1)
	}
	n, err := x.attempt.Read(e.buf[len(e.buf):cap(e.buf)])
	e.buf = e.buf[:len(e.buf)+n]
	x.checkEvents()
	if n > 0 && err != nil && e.data > 0 {
		e.err = err // after what came with it
		return nil
	}
	return err
}

// checkEvents looks at each whole event of buf[ready:]: it is kept for the
// client, or taken out.
func (x *exchange) checkEvents() {
	e := &x.events
	for !e.done {
		end, ok := e.split.Next(e.buf[e.ready:])
		if !ok {
			return
		}
		if x.keepEvent(e.buf[e.ready : e.ready+end]) {
			e.ready += end
			continue
		}
		e.buf = append(e.buf[:e.ready], e.buf[e.ready+end:]...)
	}
}

// keepEvent reads what an event tells of the stream, and reports whether the
// client gets it.
func (x *exchange) keepEvent(event []byte) bool {
	e := &x.events
	data, name := openai.EventData(event, nil)
	if data == nil {
		return true // a comment, or a field that is none of ours
	}
	if x.endpoint.dialect == opaque {
		e.data++
		return true
	}
	d := &e.delta
	d.ParseEvent(name, data)
	if !d.Valid {
		x.target.Provider.Meter.BadEvents.Inc()
		return false
	}
	if d.HasUsage {
		x.usage, x.hasUsage = d.Usage, true
	}
	e.finished = e.finished || d.Finished
	e.done = d.Done
	e.failed = e.failed || d.Failed
	if d.UsageOnly && x.askUsage {
		return false
	}
	if d.HasText && len(x.text) < maxText {
		x.text = openai.AppendText(x.text, data)
	}
	e.data++
	return true
}

// maxText bounds what is kept of a stream's text for counting its tokens, in
// case the provider sends no usage.
const maxText = 1 << 20
