package loadgen

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
)

// What a line of an event stream is.
type lineKind int

const (
	otherLine lineKind = iota
	blankLine          // ends an event
	dataLine
	doneLine  // the [DONE] that ends a stream
	faultLine // of an event that reports an error
)

// follow reads a stream to its end and notes when its events came. The last,
// [DONE], is not counted as one; without it the stream was cut.
func (c *caller) follow(x *exchange, body io.Reader) error {
	c.lines.Reset(body)
	c.gaps = c.gaps[:0]
	var before time.Time // the last event
	done, event := false, otherLine
	for {
		kind, err := readLine(c.lines)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		if kind != blankLine {
			event = max(event, kind)
			continue
		}
		switch now := time.Now(); {
		case event == faultLine:
			x.fault = "200, with an error in the stream"
		case event == doneLine:
			done = true
		case event == dataLine && before.IsZero():
			x.firstEvent, before = now, now
		case event == dataLine:
			c.gaps = append(c.gaps, now.Sub(before))
			before = now
		}
		event = otherLine
	}
	x.gaps = c.gaps
	if x.fault == "" && (!done || before.IsZero()) {
		x.fault = "200, but the stream was cut"
	}
	return nil
}

// readLine takes one line, of any length; its beginning says what it is.
func readLine(in *bufio.Reader) (lineKind, error) {
	piece, err := in.ReadSlice('\n')
	kind := classify(bytes.TrimRight(piece, "\r\n"))
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return kind, err
}

func classify(line []byte) lineKind {
	if len(line) == 0 {
		return blankLine
	}
	data, isData := bytes.CutPrefix(line, []byte("data:"))
	data = bytes.TrimLeft(data, " ")
	switch {
	case isData && bytes.Equal(data, []byte("[DONE]")):
		return doneLine
	case isData && bytes.HasPrefix(data, []byte(`{"error"`)), bytes.Equal(line, []byte("event: error")):
		return faultLine
	case isData:
		return dataLine
	}
	return otherLine
}
