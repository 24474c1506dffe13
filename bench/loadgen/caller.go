package loadgen

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// maxAnswer bounds the answer that is held to be checked.
const maxAnswer = 64 << 20

// caller is a connection that carries one request at a time. One goroutine
// owns it.
type caller struct {
	target  *Target
	request []byte
	plan    Plan

	conn  net.Conn // nil when there is none
	leave func() bool
	used  bool // an answer came over it
	in    *bufio.Reader
	resp  fasthttp.Response
	lines *bufio.Reader // of a stream
	gaps  []time.Duration
}

func newCaller(t *Target, request []byte, p Plan) *caller {
	return &caller{target: t, request: request, plan: p, in: bufio.NewReaderSize(nil, 16<<10), lines: bufio.NewReaderSize(nil, 16<<10)}
}

// dial opens the connection; it is closed when ctx ends.
func (c *caller) dial(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, c.plan.Timeout)
	defer cancel()
	conn, err := c.target.dial(limited)
	if err != nil {
		return err
	}
	c.conn, c.used = conn, false
	c.leave = context.AfterFunc(ctx, func() { conn.Close() })
	c.in.Reset(conn)
	return nil
}

// close ends the connection, if there is one.
func (c *caller) close() {
	if c.conn != nil {
		c.leave()
		c.conn.Close()
		c.conn = nil
	}
}

// ask sends the request and notes what becomes of it. A connection that the
// server had closed while it was idle is nobody's fault: the request is sent
// over a new one, once.
func (c *caller) ask(ctx context.Context, x *exchange) {
	reused := c.conn != nil && c.used
	err := c.begin(ctx, x)
	if err != nil && reused && !late(err) {
		c.close()
		x.reconnected = true
		err = c.begin(ctx, x)
	}
	if err == nil {
		err = c.receive(x)
	}
	x.end = time.Now()
	if err != nil {
		x.note(err)
	}
	if err != nil || x.fault != "" || c.resp.ConnectionClose() {
		c.close()
	}
}

// begin sends the request and waits for the first byte of the answer.
func (c *caller) begin(ctx context.Context, x *exchange) error {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return &dialError{err}
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(c.plan.Timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	_, err := c.in.Peek(1)
	x.firstByte = time.Now()
	return err
}

// receive reads the answer and checks it.
func (c *caller) receive(x *exchange) error {
	c.used = true
	c.resp.StreamBody = c.plan.Stream
	if err := c.resp.ReadLimitBody(c.in, maxAnswer); err != nil {
		return err
	}
	if c.plan.Stream {
		defer c.resp.CloseBodyStream()
	}
	switch status := c.resp.StatusCode(); {
	case status != fasthttp.StatusOK:
		x.fault = strconv.Itoa(status) + errorCode(c.body())
	case c.plan.Stream:
		return c.follow(x, c.resp.BodyStream())
	case !whole(c.resp.Body()):
		x.fault = "200, but not a completion"
	}
	return nil
}

// body is the text of a refusal: its beginning, when it is long.
func (c *caller) body() []byte {
	if stream := c.resp.BodyStream(); stream != nil {
		b, _ := io.ReadAll(io.LimitReader(stream, 64<<10)) // what there is of it
		return b
	}
	return c.resp.Body()
}

// whole reports whether an answer is a completion.
func whole(body []byte) bool {
	var answer struct{ Choices []json.RawMessage }
	return json.Unmarshal(body, &answer) == nil && len(answer.Choices) > 0
}

var plainCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,39}$`)

// errorCode is the error's code with a space before it; empty if it has none
// that looks like one.
func errorCode(body []byte) string {
	var refusal struct {
		Error struct{ Code any } // some servers have numbers
	}
	_ = json.Unmarshal(body, &refusal) // what is no JSON has no code
	code, _ := refusal.Error.Code.(string)
	if !plainCode.MatchString(code) {
		return ""
	}
	return " " + code
}

// dialError tells that there was no connection to ask over.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// late reports whether the time for an answer was over.
func late(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// note keeps why there was no whole answer.
func (x *exchange) note(err error) {
	var dial *dialError
	switch {
	case late(err):
		x.fault, x.unanswered = "timeout", true
	case errors.As(err, &dial):
		x.fault = "no connection"
	default:
		x.fault = "broken off"
	}
}
