package fakeprovider

import (
	"strconv"
	"strings"
	"time"
)

// send writes one answer and reports whether the connection stays in use.
func (c *conn) send(r *Request, a *Answer) bool {
	if !c.receive(a.Hold) || a.Delay > 0 && !c.sleep(a.Delay) {
		return false
	}
	if a.Instead != Keep {
		return c.conclude(r, a.Instead)
	}
	if a.Raw != "" {
		return c.write([]byte(a.Raw)) && c.conclude(r, a.Ending)
	}
	pieces := a.pieces()
	if !c.write([]byte(strings.Join(a.Interim, "") + a.head(pieces))) {
		return false
	}
	if a.First > 0 && !c.sleep(a.First) {
		return false
	}
	if whole := c.sendBody(r, a, pieces); !whole {
		return false
	}
	if a.Framing == UntilClose && a.Ending == Keep {
		return c.conclude(r, FIN)
	}
	return c.conclude(r, a.Ending)
}

// sendBody writes the body up to its end or its cut, and reports whether it
// is whole.
func (c *conn) sendBody(r *Request, a *Answer, pieces []string) bool {
	for i, piece := range pieces {
		if !c.receive(a.Gate) || i > 0 && a.Gap > 0 && !c.sleep(a.Gap) {
			return false
		}
		if a.Cut != nil && i == a.Cut.After {
			return c.cut(r, a, piece)
		}
		if !c.sendPiece(a, piece) {
			return false
		}
		r.sent = append(r.sent, time.Now())
	}
	if a.Cut != nil {
		return c.cut(r, a, "")
	}
	end := ""
	if a.Framing == Chunked && !a.NoEnd {
		end = "0\r\n\r\n"
	}
	return c.write([]byte(end + a.Extra))
}

// cut ends the body at piece; it reports false, for the body is not whole.
func (c *conn) cut(r *Request, a *Answer, piece string) bool {
	half := piece[:len(piece)/2]
	switch {
	case a.Cut.Torn && a.Framing == Chunked:
		c.write([]byte(chunkHead(len(piece)) + half))
	case a.Cut.Half || a.Cut.Torn:
		c.sendPiece(a, half)
	}
	switch a.Cut.By {
	case RST, Silent:
		c.conclude(r, a.Cut.By)
	default:
		c.finish(false)
	}
	return false
}

// sendPiece writes one part, split and framed as the answer says.
func (c *conn) sendPiece(a *Answer, piece string) bool {
	size := len(piece)
	if a.Split > 0 {
		size = a.Split
	}
	for piece != "" {
		n := min(size, len(piece))
		if !c.sendChunk(a, piece[:n]) {
			return false
		}
		piece = piece[n:]
		if a.Drip > 0 && !c.sleep(a.Drip) {
			return false
		}
	}
	return true
}

func (c *conn) sendChunk(a *Answer, data string) bool {
	if a.Framing == Chunked {
		data = chunkHead(len(data)) + data + "\r\n"
	}
	return c.write([]byte(data))
}

func chunkHead(size int) string { return strconv.FormatInt(int64(size), 16) + "\r\n" }

// conclude does to the connection what the answer's end asks for, and reports
// whether another request may come on it.
func (c *conn) conclude(r *Request, end End) bool {
	switch end {
	case FIN:
		c.finish(true)
		return false
	case RST:
		c.reset()
		return false
	case Silent:
		c.receive(make(chan struct{}))
		return false
	}
	return r.Proto == "HTTP/1.1" && !strings.EqualFold(r.Header.Get("Connection"), "close")
}
