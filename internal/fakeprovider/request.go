package fakeprovider

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Request is one request as it arrived. The provider does not change it after
// the handler was asked, but for the channels.
type Request struct {
	Seq    int64 // 1 is the provider's first request
	Conn   int64 // the connection it came on; 1 is the provider's first
	OnConn int   // 1 is the connection's first request

	Method string
	Target string      // as sent, query included
	Path   string      // Target before '?'
	Proto  string      // "HTTP/1.1"
	Lines  []string    // the header lines as sent, in order, without CRLF
	Header http.Header // the same under canonical names
	Body   []byte      // the body's bytes, with the framing removed
	Framed string      // how the body came: "", "length" or "chunked"

	Arrived time.Time     // when it was read to its end
	Done    chan struct{} // closed when the answer was sent, or given up
	Gone    chan struct{} // closed when the peer closed the connection

	provider *Provider
	conn     *conn
	sent     []time.Time // when each part of the answer went out; read after Done
}

// Key is the bearer key that the request carried; empty without one.
func (r *Request) Key() string {
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return key
}

// GoneAt is when the peer closed the connection; only valid after Gone.
func (r *Request) GoneAt() time.Time {
	<-r.Gone
	return r.conn.goneAt
}

// SentAt lists when each part of the answer went out. It waits for Done.
func (r *Request) SentAt() []time.Time {
	<-r.Done
	return r.sent
}

// WaitGone waits until the peer has closed the connection.
func (r *Request) WaitGone(tb testing.TB) {
	tb.Helper()
	wait(tb, r.Gone, "the peer to close the connection")
}

// WaitDone waits until the answer was sent or given up.
func (r *Request) WaitDone(tb testing.TB) {
	tb.Helper()
	wait(tb, r.Done, "the answer to end")
}

// JSON is the body as an object; a body that is none gives an empty one.
func (r *Request) JSON() map[string]any {
	var m map[string]any
	if json.Unmarshal(r.Body, &m) != nil || m == nil {
		return map[string]any{}
	}
	return m
}

// Requests lists what has arrived so far, oldest first.
func (p *Provider) Requests() []*Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Request(nil), p.requests...)
}

// Count is how many requests have arrived since the start or the last Reset.
func (p *Provider) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgotten + len(p.requests)
}

// Last is the newest request, nil before the first.
func (p *Provider) Last() *Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.requests) == 0 {
		return nil
	}
	return p.requests[len(p.requests)-1]
}

// Next waits for the oldest request that Next has not handed out yet.
func (p *Provider) Next(tb testing.TB) *Request {
	tb.Helper()
	deadline := time.After(waitLimit)
	for {
		r, news := p.take()
		if r != nil {
			return r
		}
		select {
		case <-news:
		case <-deadline:
			tb.Fatal("no request reached the fake provider")
		}
	}
}

// take hands out the next request, or the channel that tells of the next one.
func (p *Provider) take() (*Request, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = max(p.taken, p.forgotten)
	if i := p.taken - p.forgotten; i < len(p.requests) {
		p.taken++
		return p.requests[i], nil
	}
	return nil, p.news
}

// record numbers a request and keeps it.
func (p *Provider) record(r *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r)
	r.Seq = int64(p.forgotten + len(p.requests))
	if over := len(p.requests) - p.opts.Keep; over > 0 {
		p.requests = append([]*Request(nil), p.requests[over:]...)
		p.forgotten += over
	}
	close(p.news)
	p.news = make(chan struct{})
}

// maxHead bounds a request's head.
const maxHead = 1 << 20

// errFault marks a request that is not proper HTTP.
var errFault = errors.New("bad request")

// readRequest reads one request to its end, strictly.
func readRequest(br *bufio.Reader, continued func()) (*Request, error) {
	r := &Request{Header: http.Header{}, Done: make(chan struct{})}
	line, err := readLine(br)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[0] == "" || !strings.HasPrefix(parts[2], "HTTP/1.") {
		return nil, fmt.Errorf("%w: request line %q", errFault, line)
	}
	r.Method, r.Target, r.Proto = parts[0], parts[1], parts[2]
	r.Path, _, _ = strings.Cut(r.Target, "?")
	if err := r.readHeader(br); err != nil {
		return nil, err
	}
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		continued()
	}
	if err := r.readBody(br); err != nil {
		return nil, err
	}
	r.Arrived = time.Now()
	return r, nil
}

// readHeader reads the lines up to the blank one and checks each.
func (r *Request) readHeader(br *bufio.Reader) error {
	for size := 0; ; {
		line, err := readLine(br)
		if err != nil {
			return midway(err)
		}
		if line == "" {
			break
		}
		if size += len(line); size > maxHead {
			return fmt.Errorf("%w: a head of more than %d bytes", errFault, maxHead)
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return fmt.Errorf("%w: header line %q", errFault, line)
		}
		r.Lines = append(r.Lines, line)
		r.Header.Add(name, strings.TrimSpace(value))
	}
	switch {
	case len(r.Header.Values("Host")) != 1:
		return fmt.Errorf("%w: %d Host lines", errFault, len(r.Header.Values("Host")))
	case len(r.Header.Values("Content-Length")) > 1:
		return fmt.Errorf("%w: more than one Content-Length", errFault)
	case r.Header.Get("Content-Length") != "" && r.Header.Get("Transfer-Encoding") != "":
		return fmt.Errorf("%w: Content-Length beside Transfer-Encoding", errFault)
	}
	return nil
}

// readBody reads the body by its framing.
func (r *Request) readBody(br *bufio.Reader) (err error) {
	if te := r.Header.Get("Transfer-Encoding"); te != "" {
		if te != "chunked" {
			return fmt.Errorf("%w: Transfer-Encoding %q", errFault, te)
		}
		r.Framed = "chunked"
		r.Body, err = readChunked(br)
		return midway(err)
	}
	length := r.Header.Get("Content-Length")
	if length == "" {
		return nil
	}
	n, err := strconv.ParseUint(length, 10, 40)
	if err != nil {
		return fmt.Errorf("%w: Content-Length %q", errFault, length)
	}
	r.Framed = "length"
	r.Body = make([]byte, n)
	_, err = io.ReadFull(br, r.Body)
	return midway(err)
}

// readChunked joins the chunks of a body.
func readChunked(br *bufio.Reader) ([]byte, error) {
	body := []byte{}
	for {
		line, err := readLine(br)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(line, 16, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: chunk size %q", errFault, line)
		}
		start := len(body)
		body = append(body, make([]byte, n)...)
		if _, err := io.ReadFull(br, body[start:]); err != nil {
			return nil, err
		}
		if end, err := readLine(br); err != nil || end != "" {
			return nil, errors.Join(fmt.Errorf("%w: %q after a chunk", errFault, end), err)
		}
		if n == 0 {
			return body, nil
		}
	}
}

// readLine reads a line that ends in CRLF and returns it without.
func readLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\x00") {
		return "", fmt.Errorf("%w: line %q", errFault, line)
	}
	return text, nil
}

// midway turns an end of input inside a request into io.ErrUnexpectedEOF.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isToken reports whether s is a proper header name.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if c >= 'a' && c <= 'z' || s[i] >= '0' && s[i] <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// wait waits for c, within reason.
func wait(tb testing.TB, c <-chan struct{}, what string) {
	tb.Helper()
	select {
	case <-c:
	case <-time.After(waitLimit):
		tb.Fatalf("waited %v in vain for %s", waitLimit, what)
	}
}
