package upstream

import (
	"bufio"
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	maxInterim   = 16  // answers 1xx before the one that counts
	maxHeadLines = 512 // status line and fields; their size is bounded by the largest buffer
)

var (
	errNotHTTP  = malformed("answer is not HTTP/1.0 or 1.1")
	errBareLF   = malformed("line of the response head not ended by CRLF")
	errField    = malformed("bad field in the response head")
	errFraming  = malformed("contradictory framing: Content-Length with Transfer-Encoding, or either twice")
	errOldTE    = malformed("Transfer-Encoding in an HTTP/1.0 answer")
	errInterim  = malformed("too many interim answers")
	errSwitched = malformed("protocol switched without being asked")
)

// readHead reads the answer's head, past interim answers, and frames its body.
func (a *Attempt) readHead(q *Request, limit time.Duration) error {
	a.phase = FirstByte
	a.have = 0
	by := earliest(after(clock(), limit), a.totalBy)
	for range maxInterim {
		var h headScan
		end, err := a.awaitHead(&h, by)
		if err != nil {
			return err
		}
		switch {
		case h.status == 101:
			return errSwitched
		case h.status < 200:
			a.have = copy(a.buf.b, a.buf.b[end:a.have])
		default:
			return a.takeHead(end, q)
		}
	}
	return errInterim
}

// awaitHead reads until a whole head is in buf, or by is over, and returns its length.
func (a *Attempt) awaitHead(h *headScan, by int64) (int, error) {
	for {
		if end, err := h.scan(a.buf.b[:a.have]); err != nil || end > 0 {
			return end, err
		}
		if a.have == len(a.buf.b) && !a.grow() {
			return 0, ErrHeadTooLarge
		}
		n, err := a.line.read(a.buf.b[a.have:], by)
		if n == 0 && err != nil {
			return 0, err
		}
		a.came = a.came || n > 0
		a.have += n
	}
}

func (a *Attempt) grow() bool {
	bigger := a.buf.grown()
	if bigger == nil {
		return false
	}
	a.buf = bigger
	return true
}

// takeHead parses the head, frames the body and keeps what came of it.
func (a *Attempt) takeHead(end int, q *Request) error {
	a.header.SetNoDefaultContentType(true)
	if err := parseHead(&a.header, a.buf.b[:end]); err != nil {
		return err
	}
	a.status, a.bulky = a.header.StatusCode(), end > bufferSizes[0]
	a.body = frameBody(a.status, a.header.ContentLength(), q.Method == "HEAD")
	a.rest = a.buf.b[end:a.have]
	if len(a.rest) == 0 || a.body.done {
		a.body.extra = a.body.extra || len(a.rest) > 0
		a.releaseBuffer()
	}
	if !a.body.done && gzipped(a.header.ContentEncoding()) {
		a.header.SetContentEncoding("")
		a.zip = acquireGunzip()
	}
	return nil
}

// headScan walks over a head as it comes and refuses what two readers could
// understand in two ways. fasthttp's parser, which comes after it, is more
// lenient, and its errors quote the answer.
type headScan struct {
	line   int // where the line begins that is not complete yet
	seen   int // up to where no LF is
	lines  int
	status int
	old    bool // HTTP/1.0
	length bool // Content-Length seen
	coding bool // Transfer-Encoding seen
}

// scan returns the head's length once b holds it all, 0 before.
func (h *headScan) scan(b []byte) (end int, err error) {
	for {
		i := bytes.IndexByte(b[h.seen:], '\n')
		if i < 0 {
			h.seen = len(b)
			if h.lines == 0 && !beginsHTTP(b) {
				return 0, errNotHTTP
			}
			return 0, nil
		}
		line := b[h.line : h.seen+i]
		h.seen += i + 1
		h.line = h.seen
		n := len(line) - 1
		if n < 0 || bytes.IndexByte(line, '\r') != n {
			return 0, errBareLF
		}
		if n == 0 && h.lines > 0 {
			return h.line, nil
		}
		if err := h.take(line[:n]); err != nil {
			return 0, err
		}
	}
}

func (h *headScan) take(line []byte) error {
	h.lines++
	switch {
	case h.lines == 1:
		return h.statusLine(line)
	case h.lines > maxHeadLines:
		return ErrHeadTooLarge
	default:
		return h.field(line)
	}
}

// beginsHTTP reports whether b may be the beginning of a status line.
func beginsHTTP(b []byte) bool {
	const proto = "HTTP/1."
	n := min(len(b), len(proto))
	return string(b[:n]) == proto[:n]
}

func (h *headScan) statusLine(line []byte) error {
	ok := len(line) >= len("HTTP/1.1 200") && beginsHTTP(line) &&
		(line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
		(len(line) == 12 || line[12] == ' ')
	if !ok {
		return errNotHTTP
	}
	h.old = line[7] == '0'
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return errNotHTTP
		}
		h.status = h.status*10 + int(d-'0')
	}
	if h.status < 100 {
		return errNotHTTP
	}
	return nil
}

// field looks at a field's name: it must be one, and those that frame the body
// must come once.
func (h *headScan) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !visible(line[:colon]) {
		return errField
	}
	switch name := line[:colon]; {
	case equalFold(name, "content-length"):
		if h.length || h.coding {
			return errFraming
		}
		h.length = true
	case equalFold(name, "transfer-encoding"):
		if h.length || h.coding {
			return errFraming
		}
		if h.old {
			return errOldTE
		}
		h.coding = true
	}
	return nil
}

// equalFold compares an ASCII name with a lower-case one.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(b) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// headParser feeds a head that is in memory to fasthttp's parser, which reads
// from a bufio.Reader.
type headParser struct {
	bytes bytes.Reader
	buf   *bufio.Reader
}

var headParsers = sync.Pool{New: func() any {
	return &headParser{buf: bufio.NewReaderSize(nil, bufferSizes[0])}
}}

// parseHead parses a whole head.
func parseHead(h *fasthttp.ResponseHeader, head []byte) error {
	if len(head) > bufferSizes[0] {
		return headError(h.Read(bufio.NewReaderSize(bytes.NewReader(head), len(head))))
	}
	p := headParsers.Get().(*headParser)
	p.bytes.Reset(head)
	p.buf.Reset(&p.bytes)
	err := h.Read(p.buf)
	p.bytes.Reset(nil)
	headParsers.Put(p)
	return headError(err)
}

// headError is the parser's error without the answer it quotes.
func headError(err error) error {
	switch err {
	case nil:
		return nil
	case io.EOF:
		panic("BUG: the parser wants more of a complete head")
	case fasthttp.ErrDuplicateContentLength:
		return errFraming
	default:
		return errField
	}
}
