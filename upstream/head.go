package upstream

import (
	"bytes"
	"time"
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
	errCoding   = malformed("Transfer-Encoding that is not chunked")
	errOldTE    = malformed("Transfer-Encoding in an HTTP/1.0 answer")
	errInterim  = malformed("too many interim answers")
	errSwitched = malformed("protocol switched without being asked")
)

// readHead reads the answer's head, of which buf may hold some, past interim
// answers, and frames its body.
func (a *Attempt) readHead(q *Request, limit time.Duration) error {
	a.phase = FirstByte
	wait := headWait{limit: limit}
	for range maxInterim {
		a.header.Reset()
		h := headScan{header: &a.header}
		end, err := a.awaitHead(&h, &wait)
		if err != nil {
			return err
		}
		switch {
		case h.status == 101:
			return errSwitched
		case h.status < 200:
			a.have = copy(a.buf.b, a.buf.b[end:a.have])
		default:
			a.takeHead(&h, end, q)
			return nil
		}
	}
	return errInterim
}

// headWait is the limit of waiting for a head, interim answers included. The
// clock is not asked for a head that is here already.
type headWait struct {
	limit   time.Duration
	now, by int64 // when the waiting began, and its end; 0: it has not begun
}

// awaitHead reads until a whole head is in buf, or the wait is over, and returns its length.
func (a *Attempt) awaitHead(h *headScan, w *headWait) (int, error) {
	for {
		if end, err := h.scan(a.buf.b[:a.have]); err != nil || end > 0 {
			return end, err
		}
		if a.have == len(a.buf.b) && !a.grow() {
			return 0, ErrHeadTooLarge
		}
		if w.now == 0 {
			w.now = clock()
			w.by = earliest(after(w.now, w.limit), a.totalBy)
		}
		n, err := a.line.read(a.buf.b[a.have:], w.now, w.by)
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

// takeHead keeps the head, frames the body and keeps what came of it.
func (a *Attempt) takeHead(h *headScan, end int, q *Request) {
	h.finish(a.buf.b[:end])
	a.status = h.status
	a.body = frameBody(a.status, a.header.length, q.Method == "HEAD")
	a.rest = a.buf.b[end:a.have]
	if len(a.rest) == 0 || a.body.done {
		a.body.extra = a.body.extra || len(a.rest) > 0
		a.releaseBuffer()
	}
	if !a.body.done && gzipped(a.header.Value("content-encoding")) {
		a.header.drop("content-encoding")
		a.zip = acquireGunzip()
	}
}

// headScan walks over a head as it comes, notes its fields and refuses what two
// readers could understand in two ways.
type headScan struct {
	header *Header
	line   int // where the line begins that is not complete yet
	seen   int // up to where no LF is
	lines  int
	status int
	old    bool // HTTP/1.0
	alive  bool // a field says that the connection stays
	length bool // Content-Length seen
	coding bool // Transfer-Encoding seen
}

// finish copies the head, which is whole, into the header: the fields' places
// are those in b.
func (h *headScan) finish(b []byte) {
	h.header.raw = append(h.header.raw[:0], b...)
	toTheEnd := h.header.length == isUnknown && h.status != 204 && h.status != 304
	h.header.close = h.header.close || h.old && !h.alive || toTheEnd
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
		start, line := h.line, b[h.line:h.seen+i]
		h.seen += i + 1
		h.line = h.seen
		n := len(line) - 1
		if n < 0 || bytes.IndexByte(line, '\r') != n {
			return 0, errBareLF
		}
		if n == 0 && h.lines > 0 {
			return h.line, nil
		}
		if err := h.take(line[:n], start); err != nil {
			return 0, err
		}
	}
}

// take takes a line that begins at start.
func (h *headScan) take(line []byte, start int) error {
	h.lines++
	switch {
	case h.lines == 1:
		return h.statusLine(line)
	case h.lines > maxHeadLines:
		return ErrHeadTooLarge
	default:
		return h.field(line, start)
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

// field notes a field: its name must be one, and those that frame the body must
// come once.
func (h *headScan) field(line []byte, start int) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !visible(line[:colon]) || !printable(line[colon:]) {
		return errField
	}
	name := line[:colon]
	from, to := trimmed(line, colon+1, len(line))
	h.header.fields = append(h.header.fields, field{int32(start), int32(start + colon), int32(start + from), int32(start + to)})
	switch len(name) {
	case len("connection"), len("content-length"), len("transfer-encoding"):
		return h.framing(name, line[from:to])
	}
	return nil
}

// framing looks at the fields that say where the body and the connection end.
func (h *headScan) framing(name, value []byte) error {
	switch {
	case EqualFold(name, "connection"):
		h.header.close = h.header.close || hasToken(value, "close")
		h.alive = h.alive || hasToken(value, "keep-alive")
	case EqualFold(name, "content-length"):
		n, ok := parseLength(value)
		if h.length || h.coding || !ok {
			return errFraming
		}
		h.length, h.header.length = true, n
	case EqualFold(name, "transfer-encoding"):
		switch {
		case h.length || h.coding:
			return errFraming
		case h.old:
			return errOldTE
		case !EqualFold(value, "chunked"):
			return errCoding
		}
		h.coding, h.header.length = true, isChunked
	}
	return nil
}
