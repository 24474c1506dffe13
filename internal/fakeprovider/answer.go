package fakeprovider

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer says what goes over the wire for one request, and when. The zero
// value is an empty 200. Bytes are sent as they stand here: an Answer can be
// as wrong as a test needs it.
type Answer struct {
	Raw     string   // sent instead of everything below up to Extra
	Interim []string // whole heads before the real one, such as a 103
	Proto   string   // "HTTP/1.1" when empty
	Status  int      // 200 when 0
	Header  []string // lines "name: value"; one with a name that framing makes replaces it
	// Parts are the body in pieces. Each is a write of its own, and a chunk of
	// its own when the body is chunked; in a stream each is one event.
	Parts   []string
	Framing Framing
	Gzip    bool // compress the body, whatever the request accepts
	Split   int  // cut parts into writes (and chunks) of at most so many bytes
	Missing int  // Content-Length promises so many bytes more than are sent
	NoEnd   bool // leave out the last chunk
	Extra   string

	Delay time.Duration // before the head
	First time.Duration // between the head and the first part
	Gap   time.Duration // between two parts
	Drip  time.Duration // between two writes of a part that Split cuts
	// Hold lets the head wait for one receive; closed, it never waits.
	Hold <-chan struct{}
	// Gate lets every part wait for one receive; closed, it never waits.
	Gate <-chan struct{}

	Instead End  // what it does instead of answering; Keep answers
	Cut     *Cut // ends the body early
	Ending  End  // what becomes of the connection after the whole answer
}

// Framing says how the end of a body is told.
type Framing uint8

// The ways to tell.
const (
	ByLength Framing = iota
	Chunked
	UntilClose
	Unframed // no framing header at all and the connection stays: broken
)

// Cut ends a body before its time.
type Cut struct {
	After int  // so many parts are whole
	Half  bool // and half of the next is sent
	Torn  bool // which its chunk's head promised as a whole
	By    End  // Keep, which ends nothing, means FIN here
}

// End says what the provider does to a connection.
type End uint8

// The ends.
const (
	Keep   End = iota // leave it open for the next request
	FIN               // close it in order
	RST               // reset it
	Silent            // leave it open and say nothing until the peer leaves
)

// OK answers 200 with a JSON body.
func OK(body string) Answer { return Status(http.StatusOK, body) }

// Status answers with a status and a JSON body.
func Status(status int, body string) Answer {
	return Answer{Status: status, Header: []string{"Content-Type: application/json"}, Parts: []string{body}}
}

// Fail answers with an error in OpenAI's shape.
func Fail(status int, code, message string) Answer {
	return Status(status, fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%q}}`, message, errorType(status), code))
}

func errorType(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "api_error"
	}
	return "invalid_request_error"
}

// Limited answers 429 and asks to come back after d, in both spellings.
func Limited(d time.Duration) Answer {
	a := Fail(http.StatusTooManyRequests, "rate_limit_exceeded", "Rate limit reached.")
	a.Header = append(a.Header,
		"Retry-After: "+strconv.Itoa(int((d+time.Second-1)/time.Second)),
		"retry-after-ms: "+strconv.FormatInt(d.Milliseconds(), 10))
	return a
}

// Events answers with a stream of these events, each as it stands: see Data.
func Events(events ...string) Answer {
	return Answer{
		Header:  []string{"Content-Type: text/event-stream; charset=utf-8", "Cache-Control: no-cache"},
		Framing: Chunked,
		Parts:   events,
	}
}

// Data is one event with one line of data.
func Data(data string) string { return "data: " + data + "\n\n" }

// WithCRLF gives every line of an answer's parts a CRLF; WithCR a lone CR.
func (a Answer) WithCRLF() Answer { return a.withLineEnd("\r\n") }

// WithCR is WithCRLF for the third line end that event streams allow.
func (a Answer) WithCR() Answer { return a.withLineEnd("\r") }

func (a Answer) withLineEnd(end string) Answer {
	parts := make([]string, len(a.Parts))
	for i, part := range a.Parts {
		parts[i] = strings.ReplaceAll(part, "\n", end)
	}
	a.Parts = parts
	return a
}

// CutAfter ends the body after so many whole parts.
func (a Answer) CutAfter(parts int, by End) Answer {
	a.Cut = &Cut{After: parts, By: by}
	return a
}

// CutInside ends the body half through the part after so many whole ones.
func (a Answer) CutInside(parts int, by End) Answer {
	a.Cut = &Cut{After: parts, Half: true, By: by}
	return a
}

// pieces is the body as it is written: compressed, if it is.
func (a *Answer) pieces() []string {
	if !a.Gzip {
		return a.Parts
	}
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	pieces := make([]string, 0, len(a.Parts)+1)
	for _, part := range a.Parts {
		_, _ = zw.Write([]byte(part)) // a bytes.Buffer takes everything
		_ = zw.Flush()
		pieces = append(pieces, buf.String())
		buf.Reset()
	}
	_ = zw.Close()
	return append(pieces, buf.String())
}

// head is the status line and the header, with the blank line.
func (a *Answer) head(pieces []string) string {
	proto, status := a.Proto, a.Status
	if proto == "" {
		proto = "HTTP/1.1"
	}
	if status == 0 {
		status = http.StatusOK
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s\r\n", proto, status, http.StatusText(status))
	for _, line := range append(a.framing(pieces, status), a.Header...) {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// framing makes the lines that the answer's own do not replace.
func (a *Answer) framing(pieces []string, status int) []string {
	var lines []string
	add := func(name, value string) {
		for _, line := range a.Header {
			if own, _, _ := strings.Cut(line, ":"); strings.EqualFold(own, name) {
				return
			}
		}
		lines = append(lines, name+": "+value)
	}
	if a.Gzip {
		add("Content-Encoding", "gzip")
	}
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified || status < 200:
	case a.Framing == ByLength:
		length := a.Missing
		for _, piece := range pieces {
			length += len(piece)
		}
		add("Content-Length", strconv.Itoa(length))
	case a.Framing == Chunked:
		add("Transfer-Encoding", "chunked")
	}
	if a.Ending == FIN || a.Framing == UntilClose {
		add("Connection", "close")
	}
	return lines
}
