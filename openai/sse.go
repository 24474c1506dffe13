package openai

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Splitter finds where the events of a text/event-stream end, in a buffer that
// grows as the stream comes in. The zero value is at the start of a stream.
//
// Lines may end in LF, CR or CRLF, in any mixture, and the stream may come in
// any pieces: the events are the same. It remembers how far it has looked, so
// that no byte is looked at twice however the buffer grows. How large an event
// may become is for the caller to say.
type Splitter struct {
	pos    int  // no line ends in buf[:pos]
	line   int  // where the line at pos began
	bareCR bool // the last line ended in a CR without LF
}

// Next returns the length of the event that starts at buf[0], with the blank
// line that ends it, if it is there in whole. The caller then goes on with the
// bytes behind it; otherwise with the same bytes and more of them.
//
// A blank line that ends in CR at the end of the buffer waits for the next
// byte, since an LF would belong to it; unless the line before ended in a CR
// alone, because such a stream has no LF and the event must not wait for the
// one after it. A blank line without an event is an event of its own.
func (s *Splitter) Next(buf []byte) (end int, ok bool) {
	for {
		at := lineEnd(buf, s.pos)
		blank := at == s.line
		width := s.terminator(buf, at, blank)
		if width == 0 {
			s.pos = at
			return 0, false
		}
		if blank {
			s.pos, s.line = 0, 0
			return at + width, true
		}
		s.pos = at + width
		s.line = s.pos
	}
}

// terminator returns the length of the line end at an index, 0 if it is not
// there yet or not yet known.
func (s *Splitter) terminator(buf []byte, at int, blank bool) int {
	switch {
	case at == len(buf):
		return 0
	case buf[at] == '\n':
		s.bareCR = false
		return 1
	case blank && s.bareCR:
		return 1
	case at+1 == len(buf):
		return 0
	case buf[at+1] == '\n':
		s.bareCR = false
		return 2
	}
	s.bareCR = true
	return 1
}

// EventData returns the data and the name of one event, as the WHATWG's text
// on server-sent events reads it: data of several lines is joined by LF, of
// several names the last counts, other fields and comments do not matter. data
// is nil when there is no data line, and empty but not nil when all there is
// is empty. The event need not be whole.
//
// data and name are views of the event, except that data of several lines is
// put together in scratch, which is never outgrown if its capacity is the
// length of the event. A byte order mark, allowed at the start of a stream, is
// passed over in front of any event.
func EventData(event, scratch []byte) (data, name []byte) {
	event = bytes.TrimPrefix(event, byteOrderMark)
	lines := 0
	for len(event) > 0 {
		var field, value []byte
		field, value, event = cutField(event)
		switch string(field) {
		case "event":
			name = value
		case "data":
			switch lines {
			case 0:
				data = value
			case 1:
				data = append(append(scratch[:0], data...), '\n')
				data = append(data, value...)
			default:
				data = append(append(data, '\n'), value...)
			}
			lines++
		}
	}
	return data, name
}

// cutField takes the first line off an event. A line without colon is a field
// with an empty value; one that starts with a colon is a comment, a field
// without name.
func cutField(event []byte) (field, value, rest []byte) {
	n := lineEnd(event, 0)
	line, rest := event[:n], event[n:]
	if bytes.HasPrefix(rest, []byte("\r\n")) {
		rest = rest[2:]
	} else if len(rest) > 0 {
		rest = rest[1:]
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return line, line[n:], rest
	}
	return line[:colon], bytes.TrimPrefix(line[colon+1:], []byte(" ")), rest
}

// lineEnd returns the index of the first CR or LF from i on, or len(b).
func lineEnd(b []byte, i int) int {
	// Eight bytes at a time, as in plainEnd.
	for rest := b[i:]; len(rest) >= 8; rest = rest[8:] {
		x := binary.LittleEndian.Uint64(rest)
		lf := (x ^ '\n'*eachByte) - eachByte
		cr := (x ^ '\r'*eachByte) - eachByte
		if hit := (lf | cr) &^ x & highBits; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i += 8
	}
	for i < len(b) && b[i] != '\n' && b[i] != '\r' {
		i++
	}
	return i
}
