package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
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

	lines        *bufio.Reader   // of a stream
	gaps, delays []time.Duration // of the last stream

	opened int64 // connections
	proven bool  // an answer was decoded, and found right
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
	c.opened++
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
	if x.end.IsZero() {
		x.end = time.Now()
	}
	if err != nil {
		x.note(err)
	}
	if err != nil || x.fault != "" || c.plan.Fresh || c.resp.ConnectionClose() {
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
	if _, err := c.in.Peek(1); err != nil {
		return err
	}
	x.firstByte = time.Now()
	return nil
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
	x.end = time.Now() // of the head, when it is a stream
	switch status := c.resp.StatusCode(); {
	case status != fasthttp.StatusOK:
		x.fault = strconv.Itoa(status) + errorCode(c.body())
	case c.plan.Stream:
		err := c.follow(x, c.resp.BodyStream())
		x.end = time.Now()
		return err
	case !c.whole(c.resp.Body()):
		x.fault = noCompletion
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

// whole reports whether an answer is a completion. The first that comes over
// a connection is decoded; of the later ones the outline is looked at, and
// only what has another is decoded again: decoding each would cost as much as
// sending the request.
func (c *caller) whole(body []byte) bool {
	if c.proven && outlined(body) {
		return true
	}
	var answer struct{ Choices []json.RawMessage }
	right := json.Unmarshal(body, &answer) == nil && len(answer.Choices) > 0
	c.proven = c.proven || right
	return right
}

// outlined reports whether a body begins, and ends, as a completion does. Its
// length is what its header said: it is not cut.
func outlined(body []byte) bool {
	body = bytes.TrimRight(body, "\r\n ")
	return bytes.HasPrefix(body, []byte("{")) && bytes.HasSuffix(body, []byte("}")) && bytes.Contains(body, []byte(`"choices":[{`))
}
