package upstream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// What an answer says about its own end decides whether its body is whole and
// whether another request may follow it on the same connection.
func TestAnswersAreFramed(t *testing.T) {
	f := func(name, answer string, status int, body string, reused bool) {
		t.Helper()
		f1 := func(how string, say func(*peer, string)) {
			t.Helper()
			p := provide(t, func(p *peer) {
				for {
					if _, ok := p.request(); !ok {
						return
					}
					say(p, answer)
					if !reused && !strings.Contains(answer, "ontent-") && !strings.Contains(answer, "chunked") {
						return
					}
				}
			})
			c := p.client()
			var a Attempt
			for range 2 {
				gotStatus, gotBody, err := exchange(&a, c, post("{}"))
				if err != nil || gotStatus != status || gotBody != body {
					t.Fatalf("%s, %s: got %d %.100q %v, want %d %.100q", name, how, gotStatus, gotBody, err, status, body)
				}
			}
			want := int64(2)
			if reused {
				want = 1
			}
			if got := p.conns.Load(); got != want {
				t.Fatalf("%s, %s: got %d connections for two requests, want %d", name, how, got, want)
			}
			p.stop()
		}
		f1("at once", func(p *peer, s string) { p.say(s) })
		if len(answer) < 1000 && !strings.Contains(answer, "Poison") { // which must be there when it is looked for
			f1("byte by byte", func(p *peer, s string) {
				for i := range len(s) {
					p.say(s[i : i+1])
				}
			})
		}
	}
	f("sized", okHead+"Content-Length: 5\r\n\r\nhello", 200, "hello", true)
	f("empty", okHead+"Content-Length: 0\r\n\r\n", 200, "", true)
	f("error status", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", 404, "{}", true)
	f("no reason phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true)
	f("chunked", okHead+"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello", true)
	f("chunked, capitals", okHead+"TRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789", true)
	f("chunked with extensions and trailers",
		okHead+"Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;z\r\nx-sum: 1\r\nx-b: 2\r\n\r\n", 200, "hello", true)
	f("chunked and empty", okHead+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", true)
	f("until close", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false)
	f("connection: close", okHead+"Connection: close\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false)
	f("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", false)
	f("HTTP/1.0, sized", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false)
	f("HTTP/1.0, kept alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true)
	f("204", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true)
	f("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true)
	f("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, "", false)
	f("103 first", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+okHead+"Content-Length: 5\r\n\r\nhello", 200, "hello", true)
	f("100 and 102 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"+okHead+"Content-Length: 5\r\n\r\nhello", 200, "hello", true)
	f("redirect", "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", 302, "", true)
	f("extra bytes after a sized body", okHead+"Content-Length: 5\r\n\r\nhelloHTTP/1.1 500 Poison\r\n\r\n", 200, "hello", false)
	f("extra bytes after the last chunk", okHead+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 500 Poison\r\n\r\n", 200, "hello", false)
	f("200 header lines", okHead+strings.Repeat("X-Many: of them\r\n", 200)+"Content-Length: 5\r\n\r\nhello", 200, "hello", true)
	f("a header of nearly 64 KiB", okHead+"X-Long: "+strings.Repeat("a", 65300)+"\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true)
}

// What two readers could understand in two ways is not understood at all.
func TestMalformedAnswersAreErrors(t *testing.T) {
	f := func(name, answer string, want error) {
		t.Helper()
		p := provide(t, func(p *peer) {
			if _, ok := p.request(); ok {
				p.say(answer)
			}
		})
		c := p.client()
		var a Attempt
		_, body, err := exchange(&a, c, post("{}"))
		if e := asError(t, err); !errors.Is(err, want) || !e.Sent || e.Cancelled || e.Timeout {
			t.Errorf("%s: got %q, %#v, want %v", name, body, e, want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the answer: %v", name, err)
		}
		if idle := c.Stats().Idle; idle != 0 {
			t.Errorf("%s: the connection went back to the pool", name)
		}
		if n := p.conns.Load(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		p.stop()
	}
	sized := okHead + "Content-Length: 5\r\n"
	inChunks := okHead + "Transfer-Encoding: chunked\r\n"

	f("garbage", "secret garbage\r\n\r\n", ErrMalformed)
	f("garbage without an end", "secret", ErrMalformed)
	f("HTTP/0.9", "<html>secret</html>", ErrMalformed)
	f("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrMalformed)
	f("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", ErrMalformed)
	f("HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", ErrMalformed)
	f("a status of two digits", "HTTP/1.1 20 OK secret\r\n\r\n", ErrMalformed)
	f("a status of letters", "HTTP/1.1 abc OK\r\n\r\n", ErrMalformed)
	f("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", ErrMalformed)
	f("a status under 100", "HTTP/1.1 099 OK\r\n\r\n", ErrMalformed)
	f("two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n", ErrMalformed)
	f("blank line first", "\r\n"+sized+"\r\nhello", ErrMalformed)
	f("length and chunked", sized+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("chunked and length", inChunks+"Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("two lengths", sized+"Content-Length: 6\r\n\r\nhello", ErrMalformed)
	f("two equal lengths", sized+"content-length: 5\r\n\r\nhello", ErrMalformed)
	f("a list of lengths", okHead+"Content-Length: 5, 5\r\n\r\nhello", ErrMalformed)
	f("a signed length", okHead+"Content-Length: +5\r\n\r\nhello", ErrMalformed)
	f("a negative length", okHead+"Content-Length: -5\r\n\r\nhello", ErrMalformed)
	f("a hexadecimal length", okHead+"Content-Length: 0x5\r\n\r\nhello", ErrMalformed)
	f("an endless length", okHead+"Content-Length: 99999999999999999999999\r\n\r\nhello", ErrMalformed)
	f("a length of nothing", okHead+"Content-Length: \r\n\r\nhello", ErrMalformed)
	f("a space in front of the colon", okHead+"Content-Length : 5\r\n\r\nhello", ErrMalformed)
	f("chunked twice", inChunks+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrMalformed)
	f("gzip, chunked", okHead+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ErrMalformed)
	f("identity", okHead+"Transfer-Encoding: identity\r\n\r\nhello", ErrMalformed)
	f("xchunked", okHead+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", ErrMalformed)
	f("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrMalformed)
	f("a bare LF", "HTTP/1.1 200 OK\nsecret: 1\n\n", ErrMalformed)
	f("a bare LF in a field", okHead+"X: secret\nContent-Length: 5\r\n\r\nhello", ErrMalformed)
	f("a bare CR in a field", okHead+"X: a\rb\r\nContent-Length: 5\r\n\r\nhello", ErrMalformed)
	f("a NUL in a field", okHead+"X: secret\x00\r\nContent-Length: 5\r\n\r\nhello", ErrMalformed)
	f("a folded field", okHead+"X: a\r\n secret\r\nContent-Length: 5\r\n\r\nhello", ErrMalformed)
	f("a field without a colon", okHead+"secret\r\nContent-Length: 5\r\n\r\nhello", ErrMalformed)
	f("a field without a name", okHead+": secret\r\nContent-Length: 5\r\n\r\nhello", ErrMalformed)
	f("101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", ErrMalformed)
	f("endless interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 50)+sized+"\r\nhello", ErrMalformed)
	f("a head over 64 KiB", okHead+"X: "+strings.Repeat("secret", 12000), ErrHeadTooLarge)
	f("600 header lines", okHead+strings.Repeat("a: b\r\n", 600)+"Content-Length: 0\r\n\r\n", ErrHeadTooLarge)

	f("a chunk size that is none", inChunks+"\r\nxyz\r\nsecret", ErrMalformed)
	f("an empty chunk size", inChunks+"\r\n\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("a negative chunk size", inChunks+"\r\n-5\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("a chunk size with 0x", inChunks+"\r\n0x5\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("an endless chunk size", inChunks+"\r\n"+strings.Repeat("0", 17)+"5\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("a chunk longer than it said", inChunks+"\r\n5\r\nhello!\r\n0\r\n\r\n", ErrMalformed)
	f("a chunk line ended by LF", inChunks+"\r\n5\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("chunk data ended by LF", inChunks+"\r\n5\r\nhello\n0\r\n\r\n", ErrMalformed)
	f("an LF in a chunk extension", inChunks+"\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("a space in front of an extension", inChunks+"\r\n5 ;a\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("a trailer ended by LF", inChunks+"\r\n0\r\na: b\n\r\n", ErrMalformed)
	f("an extension of 5 KiB", inChunks+"\r\n5;"+strings.Repeat("a", 5000)+"\r\nhello\r\n0\r\n\r\n", ErrMalformed)
	f("trailers of 20 KiB", inChunks+"\r\n0\r\n"+strings.Repeat("a: bbbbbbbbbbbbbbb\r\n", 1000)+"\r\n", ErrMalformed)
	f("hardly any data", inChunks+"\r\n"+strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\nx\r\n", 1000)+"0\r\n\r\n", ErrMalformed)

	f("nothing at all", "", io.EOF)
	f("half a head", okHead, io.EOF)
	f("a body cut short", sized+"\r\nhell", ErrShortBody)
	f("a chunk cut short", inChunks+"\r\n5\r\nhell", ErrShortBody)
	f("a cut between chunks", inChunks+"\r\n5\r\nhello\r\n", ErrShortBody)
	f("a cut in the last line", inChunks+"\r\n5\r\nhello\r\n0\r\n", ErrShortBody)
	f("a cut in a chunk size", inChunks+"\r\n5\r\nhello\r\n1", ErrShortBody)
}

// The bytes of a body come out the same whatever the reads are.
func TestBodyInSmallReads(t *testing.T) {
	body := strings.Repeat("0123456789", 100)
	var chunks strings.Builder
	for i := 0; i < len(body); i += 7 {
		part := body[i:min(i+7, len(body))]
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", len(part), part)
	}
	p := provide(t, answers(okHead+"Transfer-Encoding: chunked\r\n\r\n"+chunks.String()+"0\r\n\r\n"))
	c := p.client()
	var a Attempt
	for size := 1; size < 40; size++ {
		if err := a.Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
		var got []byte
		buf := make([]byte, size)
		for {
			n, err := a.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				t.Fatal("nothing read and no error")
			}
		}
		a.Close()
		if string(got) != body {
			t.Fatalf("reads of %d: got %d bytes, want %d", size, len(got), len(body))
		}
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

// A HEAD answer announces a body that does not come.
func TestHeadHasNoBody(t *testing.T) {
	p := provide(t, answers(okHead+"Content-Length: 5\r\n\r\n"))
	c := p.client()
	var a Attempt
	for range 2 {
		status, body, err := exchange(&a, c, &Request{Method: "HEAD", Path: "/models"})
		if status != 200 || body != "" || err != nil {
			t.Fatalf("got %d %q %v", status, body, err)
		}
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}
