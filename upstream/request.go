package upstream

import "strconv"

// Request is what to send. Everything in it is borrowed until Send returns and
// is not changed.
type Request struct {
	Method      string
	Path        string // under the provider's APIBase: "/chat/completions"
	Query       []byte // without the question mark
	Header      []byte // further lines, each ended by CRLF, checked by the caller
	ContentType []byte
	Body        [][]byte // segments that together are the body
	Stream      bool     // picks the total limit, and FirstEvent as the first thing to Await
	RequestID   []byte   // sent as X-Request-Id
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
