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
	c.gaps, c.delays = c.gaps[:0], c.delays[:0]
	var before time.Time // the last event
	var sent int64       // when the event says that it was sent; 0 if it does not
	done, event := false, otherLine
	for {
		line, err := readLine(c.lines)
		kind := classify(line)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		if kind != blankLine {
			event, sent = max(event, kind), max(sent, stamp(line))
			continue
		}
		now := time.Now()
		if sent != 0 {
			c.delays = append(c.delays, time.Duration(now.UnixNano()-sent))
			sent = 0
		}
		switch {
		case event == faultLine:
			x.fault = streamError
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
	x.gaps, x.delays = c.gaps, c.delays
	if x.fault == "" && (!done || before.IsZero()) {
		x.fault = streamCut
	}
	return nil
}

// readLine takes one line, of any length, and returns its beginning without
// its end, until the next is read.
func readLine(in *bufio.Reader) ([]byte, error) {
	piece, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		piece = bytes.Clone(piece) // the rest overwrites it
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return bytes.TrimRight(piece, "\r\n"), err
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
