package upstream

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// scanned is what the gateway makes of a head: where it ends and how its body
// is framed.
type scanned struct {
	end    int
	status int
	body   body
	close  bool
}

// scanHead reads a head that comes in pieces of the given size.
func scanHead(b []byte, step int) (scanned, error) {
	var fields Header
	fields.Reset()
	h := headScan{header: &fields}
	for n := min(step, len(b)); ; n = min(n+step, len(b)) {
		end, err := h.scan(b[:n])
		if err != nil || end == 0 && n == len(b) {
			return scanned{}, err
		}
		if end == 0 {
			continue
		}
		if h.status < 200 {
			return scanned{end: end, status: h.status}, nil
		}
		h.finish(b[:end])
		return scanned{end, h.status, frameBody(h.status, h.header.length, false), h.header.close}, nil
	}
}

// FuzzHead holds the head's reader against itself, whatever the reads are, and
// against net/http: what both take for a head frames the same body.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n0\r\n\r\n", "HTTP/1.1 204\r\n\r\n", "HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close, te\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\n", "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nset-cookie: c\r\n\r\n",
		"ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\x00\r\n\r\n", "HTTP/1.1 200 OK\r\nX: \xff\xfe\r\n\r\n", realHeadSeed,
	} {
		f.Add([]byte(seed), byte(1))
		f.Add([]byte(seed), byte(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, step byte) {
		got, err := scanHead(b, len(b)+1)
		piecewise, errPiecewise := scanHead(b, int(step)+1)
		if got != piecewise || (err == nil) != (errPiecewise == nil) {
			t.Fatalf("cuts matter: %+v %v, in pieces %+v %v", got, err, piecewise, errPiecewise)
		}
		if err != nil || got.end == 0 || got.status < 200 {
			return
		}
		if !bytes.HasSuffix(b[:got.end], []byte("\r\n\r\n")) {
			t.Fatalf("a head that ends in %q", b[:got.end])
		}
		theirs, errTheirs := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:got.end])), &http.Request{Method: "POST"})
		if errTheirs != nil {
			return // they are stricter with names and lengths
		}
		chunked := len(theirs.TransferEncoding) > 0
		switch ours := got.body; {
		case theirs.StatusCode != got.status:
			t.Fatalf("status %d, net/http %d", got.status, theirs.StatusCode)
		case ours.framing == inChunks != chunked:
			t.Fatalf("%+v, net/http says chunked %v", ours, chunked)
		case ours.framing == sized && theirs.ContentLength != ours.left:
			t.Fatalf("%+v, net/http %d", ours, theirs.ContentLength)
		case ours.framing == untilClose && (theirs.ContentLength != -1 || !got.close):
			t.Fatalf("%+v, close %v, net/http %d", ours, got.close, theirs.ContentLength)
		}
	})
}

const realHeadSeed = "HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 10:00:00 GMT\r\ncontent-type: text/event-stream; charset=utf-8\r\n" +
	"transfer-encoding: chunked\r\nconnection: keep-alive\r\nserver: cloudflare\r\nx-request-id: req_1\r\nalt-svc: h3=\":443\"; ma=86400\r\n\r\n"

// What could not be parsed is not quoted.
func TestHeadErrorsDoNotQuote(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: secret\x01\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n",
	} {
		_, err := scanHead([]byte(head), 100)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", head, err)
		}
	}
}

// A large head is read, and neither its buffer nor what was parsed of it stays.
func TestLargeHeadIsNotKept(t *testing.T) {
	p := provide(t, answers(okHead+strings.Repeat("X-Many: of them\r\n", 400)+"X: "+strings.Repeat("y", 40<<10)+"\r\nContent-Length: 5\r\n\r\nhello"))
	c := p.client()
	var a Attempt
	for range 3 {
		if err := a.Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
		if n := len(a.Header().Value("x")); n != 40<<10 {
			t.Errorf("got a field of %d bytes", n)
		}
		if body, err := read(&a); err != nil || body != "hello" || a.buf != nil {
			t.Errorf("got %q %v", body, err)
		}
		a.Close()
		if len(a.Header().Value("x")) != 0 || a.Status() != 0 {
			t.Errorf("the head stays after Close")
		}
	}
}
