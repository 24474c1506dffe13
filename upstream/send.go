package upstream

import (
	"context"
	"strconv"
	"time"
)

// earlyWait is how long an answer is looked for after the write broke: it is
// in the socket already, if there is one.
const earlyWait = 100 * time.Millisecond

// Send sends the request and returns when the answer's head is in hand.
//
// A pooled connection that dies before any byte of an answer is replaced by a
// fresh one, once: the provider closed it while it was idle. Every other
// failure is the caller's to judge. The error is an *Error.
func (a *Attempt) Send(c *Client, q *Request) error {
	if a.client != nil {
		panic("BUG: Send on an attempt that is not closed")
	}
	a.phase = Connect
	if !q.clean() {
		return a.fail(ErrBadRequest)
	}
	var free bool
	if a.probe, free = c.enter(); !free {
		return a.fail(ErrBusy)
	}
	a.begin(c, q)
	err := a.exchange(q, false)
	if err != nil && a.repeatable(err) {
		c.counters.repeats.Add(1)
		a.drop()
		err = a.exchange(q, true)
	}
	if err != nil {
		a.err = err
		a.drop()
		return err
	}
	a.phase = Body
	if q.Stream {
		a.phase = FirstEvent
	}
	return nil
}

// begin starts the attempt's clocks.
func (a *Attempt) begin(c *Client, q *Request) {
	now, t := clock(), &c.settings.Timeouts
	a.client = c
	a.totalBy = after(now, t.Total)
	if q.Stream {
		a.totalBy = after(now, t.StreamTotal)
	}
	a.firstEventBy = after(now, t.FirstEvent)
}

// exchange takes the request from nothing to the answer's head.
func (a *Attempt) exchange(q *Request, fresh bool) *Error {
	if err := a.connect(fresh); err != nil {
		return a.fail(err)
	}
	if a.buf == nil {
		a.buf = acquireBuffer(0)
	}
	if err := a.write(q); err != nil {
		if !a.answeredEarly(q, err) {
			a.phase = Write
			return a.fail(err)
		}
		return nil
	}
	if err := a.readHead(q, a.client.settings.Timeouts.FirstByte); err != nil {
		return a.fail(err)
	}
	return nil
}

// repeatable reports whether the failure is that of a connection which was
// dead when it came out of the pool.
func (a *Attempt) repeatable(err *Error) bool {
	return err.Reused && !a.came && !err.Timeout && !err.Cancelled
}

// drop ends the line and parts with it.
func (a *Attempt) drop() {
	if a.line != nil {
		l, _ := a.detach()
		l.drop()
	}
}

// connect gives the attempt a line: a pooled one, or a fresh one.
func (a *Attempt) connect(fresh bool) error {
	a.phase, a.sent, a.reused = Connect, false, false
	c, now := a.client, clock()
	if !fresh {
		l, dead := c.pool.take(now)
		c.counters.stale.Add(int64(dead))
		if l != nil {
			return a.reuse(l, now)
		}
	}
	by := earliest(after(now, c.settings.Timeouts.Connect), a.totalBy)
	ctx, hangup := context.WithCancel(context.Background())
	if by != 0 {
		ctx, hangup = context.WithDeadline(context.Background(), at(by))
	}
	defer hangup()
	l := &line{hangup: hangup, expires: now + lifetime()}
	if !a.attach(l) {
		return errCancelled
	}
	return a.dial(ctx, l, by)
}

func (a *Attempt) reuse(l *line, now int64) error {
	if !a.attach(l) {
		a.client.pool.put(l, now)
		return errCancelled
	}
	a.reused = true
	a.client.counters.reuses.Add(1)
	return nil
}

// write sends the request. A body that fits beside the head goes with it.
func (a *Attempt) write(q *Request) error {
	a.phase = Write
	l := a.line
	s := l.sock.Load()
	s.writeBy = earliest(after(clock(), a.client.settings.Timeouts.Write), a.totalBy)

	out := a.assemble(q)
	before := s.pushed
	err := l.write(out)
	clear(out)
	a.sent = s.pushed > before
	return err
}

// assemble lays the request out as few segments: the head and what of the body
// fits behind it in the buffer, then the rest of the body where it is.
func (a *Attempt) assemble(q *Request) [][]byte {
	head := a.client.appendHead(a.buf.b[:0], q)
	out := append(a.out[:0], nil)
	for _, b := range q.Body {
		n := copy(head[len(head):cap(head)], b)
		if head = head[:len(head)+n]; n < len(b) {
			out = append(out, b[n:])
		}
	}
	out[0] = head
	return out
}

// appendHead appends the request's head.
func (c *Client) appendHead(dst []byte, q *Request) []byte {
	dst = append(dst, q.Method...)
	dst = append(dst, ' ')
	dst = append(dst, c.target.prefix...)
	dst = append(dst, q.Path...)
	if len(q.Query) > 0 {
		dst = append(dst, '?')
		dst = append(dst, q.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = append(dst, c.head...)
	if len(q.ContentType) > 0 {
		dst = appendLine(dst, "Content-Type: ", q.ContentType)
	}
	if len(q.RequestID) > 0 {
		dst = appendLine(dst, "X-Request-Id: ", q.RequestID)
	}
	dst = append(dst, q.Header...)
	if size := q.size(); size > 0 || q.Method != "GET" && q.Method != "HEAD" {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(size), 10)
		dst = append(dst, '\r', '\n')
	}
	return append(dst, '\r', '\n')
}

func appendLine(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// size is the body's length.
func (q *Request) size() int {
	n := 0
	for _, b := range q.Body {
		n += len(b)
	}
	return n
}

// clean reports whether nothing in the request's line or in the values set
// here can end a line.
func (q *Request) clean() bool {
	return q.Method != "" && q.Path != "" && q.Path[0] == '/' &&
		visible(q.Method) && visible(q.Path) && visible(q.Query) &&
		printable(q.ContentType) && printable(q.RequestID)
}

func visible[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func printable(s []byte) bool {
	for _, b := range s {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// answeredEarly looks for the answer of a provider that did not want to read
// the whole request, such as 413 or 401, and closed. The line is spent anyway.
func (a *Attempt) answeredEarly(q *Request, broken error) bool {
	if a.cancelled() {
		return false
	}
	a.hurt = true
	return a.readHead(q, earlyWait) == nil
}
