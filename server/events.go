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
	finishes int   // choices that are over
	finished bool  // all are: the answer is whole
	done     bool  // the stream's last word was said: nothing more is read
	failed   bool  // the provider sent an error event of its own
	data     int   // data events kept
	err      error // ended the stream, after what is ready
	replay   replay
}

func (e *events) reset() {
	*e = events{buf: kept(e.buf)}
}

// eventBuffer is the room that a stream begins with.
const eventBuffer = 4 << 10

var errEventTooLong = errors.New("an event is longer than MAX_EVENT_BYTES")

// receiveEvents reads up to the stream's first data event, the commit point;
// or, if the stream is held, to its end.
func (x *exchange) receiveEvents() error {
	e := &x.events
	e.begin()
	x.recovery = x.chosenRecovery()
	x.attempt.Await(upstream.FirstEvent)
	for e.data == 0 || x.holding() {
		err := x.readEvents()
		if err == nil {
			err = e.err // of a held stream: it came with the last bytes
		}
		switch {
		case e.replay.diverged:
			return errDiverged
		case e.failed:
			return &garbageError{errors.New("the provider sent an error event")}
		case err != nil && e.finished:
			e.err = err
		case err == io.EOF:
			return &garbageError{errors.New("the stream ended before its answer")}
		case err != nil:
			return err
		}
		if e.data > 0 && !e.finished {
			x.attempt.Await(upstream.Event)
		}
		if x.firstAt == 0 && e.data > 0 {
			x.firstAt = now()
		}
	}
	e.open = true
	return nil
}

// begin forgets an earlier stream, but not what a replay is compared with.
func (e *events) begin() {
	*e = events{buf: e.buf[:0], replay: e.replay}
	if e.buf == nil {
		e.buf = make([]byte, 0, eventBuffer)
	}
}

// readEvents reads once from the provider and checks the events that this
// completes. An error that comes with the last bytes is left in e.err once
// there is something to relay before it.
func (x *exchange) readEvents() error {
	e := &x.events
	if len(e.buf) == cap(e.buf) {
		if e.pending() >= x.s.MaxEventBytes {
			x.s.limits.eventBytes.Inc()
			return errEventTooLong
		}
		e.buf = grow(e.buf, -1)
	}
	n, err := x.attempt.Read(e.buf[len(e.buf):cap(e.buf)])
	e.buf = e.buf[:len(e.buf)+n]
	x.checkEvents()
	if err == io.EOF && len(e.buf) > e.ready && !e.done {
		x.checkRest()
	}
	if err != nil && e.ready > 0 && e.data > 0 {
		e.err = err
		return nil
	}
	return err
}

// pending is how many bytes wait for an event to be whole; before the first
// one all do.
func (e *events) pending() int {
	if e.data == 0 {
		return len(e.buf)
	}
	return len(e.buf) - e.ready
}

// checkRest takes what stands after the last blank line when the stream ends:
// an event whose blank line the provider forgot, or half of one.
func (x *exchange) checkRest() {
	e := &x.events
	if x.endpoint.dialect == opaque {
		e.ready = len(e.buf)
		return
	}
	e.buf = append(e.buf, "\n\n"...)
	x.checkEvents()
}

// checkEvents looks at each whole event of buf[ready:]: it is kept for the
// client, taken out, or replaced.
func (x *exchange) checkEvents() {
	e := &x.events
	for !e.done && !e.replay.diverged {
		n, ok := e.split.Next(e.buf[e.ready:])
		if !ok {
			return
		}
		end := e.ready + n
		keep, instead := x.checkEvent(e.buf[e.ready:end])
		switch {
		case instead != nil:
			rest := append(instead, e.buf[end:]...)
			e.buf = append(e.buf[:e.ready], rest...)
			e.ready = len(e.buf) - (len(rest) - len(instead))
		case keep:
			e.ready = end
		default:
			e.buf = append(e.buf[:e.ready], e.buf[end:]...)
		}
	}
}

// checkEvent reads what an event tells of the stream, and reports whether the
// client gets it, or what instead.
func (x *exchange) checkEvent(event []byte) (keep bool, instead []byte) {
	e, d := &x.events, &x.events.delta
	data, name := openai.EventData(event, nil)
	if data == nil {
		return true, nil // a comment, or a field that is none of ours
	}
	d.ParseEvent(name, data)
	if x.endpoint.dialect == opaque {
		x.takeUsage()
		e.data++
		return true, nil
	}
	if !d.Valid {
		x.target.Provider.Meter.BadEvents.Inc()
		return false, nil
	}
	x.traceEvent(data)
	e.finishes += d.Finishes
	if !e.finished && d.Finished && e.finishes >= int(max(x.parsed.N, 1)) {
		e.finished = true
		x.attempt.Await(upstream.End)
	}
	x.takeUsage()
	e.done = d.Done
	e.failed = e.failed || d.Failed
	if d.UsageOnly && x.askUsage {
		return false, nil
	}
	switch {
	case e.replay.active:
		keep, instead = x.compare(data)
	default:
		keep = true
		x.keepText(data)
	}
	if keep {
		e.data++
	}
	return keep, instead
}

// takeUsage keeps what the event says was used; the last that says so counts.
func (x *exchange) takeUsage() {
	if d := &x.events.delta; d.HasUsage {
		x.usage, x.hasUsage = d.Usage, true
		x.usageEnd = d.UsageOnly || x.events.finished
	}
}

// keepText keeps an event's text for counting its tokens, in case the provider
// sends no usage; above MaxTextBytes only its length.
func (x *exchange) keepText(data []byte) {
	e := &x.events
	switch {
	case !e.delta.HasText:
	case len(x.text) < x.s.MaxTextBytes:
		x.text = openai.AppendText(x.text, data)
	default:
		if x.moreText == 0 {
			x.s.limits.textBytes.Inc()
		}
		e.replay.scratch = openai.AppendText(e.replay.scratch[:0], data)
		x.moreText += len(e.replay.scratch)
	}
}
