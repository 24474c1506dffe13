package upstream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// squeezed compresses parts, flushed after each, without the end.
func gzipFlushed(parts ...string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for _, p := range parts {
		io.WriteString(w, p)
		w.Flush()
	}
	return b.String()
}

// gzipWhole compresses s.
func gzipWhole(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// A provider that compresses unasked is read in the clear; other codings pass
// as they are, with the field that names them.
func TestCompressedAnswers(t *testing.T) {
	long := strings.Repeat("all work and no play ", 100_000)
	f := func(coding, sent, want string, decoded bool) {
		t.Helper()
		p := provide(t, answers(fmt.Sprintf(okHead+"%sContent-Length: %d\r\n\r\n%s", coding, len(sent), sent)))
		c := p.client()
		var a Attempt
		for range 2 {
			if err := a.Send(c, post("{}")); err != nil {
				t.Fatal(err)
			}
			length, field := int64(len(sent)), strings.TrimSpace(strings.TrimPrefix(coding, "Content-Encoding:"))
			if decoded {
				length, field = -1, ""
			}
			if a.Decoded() != decoded || a.ContentLength() != length || string(a.Header().Value("content-encoding")) != field {
				t.Errorf("%q: got decoded %v, length %d, field %q", coding, a.Decoded(), a.ContentLength(), a.Header().Value("content-encoding"))
			}
			if got, err := read(&a); err != nil || got != want {
				t.Errorf("%q: got %d bytes %.20q %v, want %d", coding, len(got), got, err, len(want))
			}
			a.Close()
		}
		if n := p.conns.Load(); n != 1 {
			t.Errorf("%q: got %d connections, want 1", coding, n)
		}
		p.stop()
	}
	f("Content-Encoding: gzip\r\n", gzipWhole("hello"), "hello", true)
	f("content-encoding: X-GZIP\r\n", gzipWhole("hello"), "hello", true)
	f("Content-Encoding: gzip\r\n", gzipWhole(long), long, true)
	f("Content-Encoding: gzip\r\n", gzipWhole("hello, ")+gzipWhole("world"), "hello, world", true)
	f("Content-Encoding: gzip\r\n", gzipWhole(""), "", true)
	f("Content-Encoding: br\r\n", "\x0b\x02\x80hello\x03", "\x0b\x02\x80hello\x03", false)
	f("Content-Encoding: gzip, gzip\r\n", "whatever", "whatever", false)
	f("", "plain", "plain", false)
}

// What a provider flushes is there at once, also compressed.
func TestCompressedEventsAreNotHeldBack(t *testing.T) {
	next := make(chan bool)
	p := provide(t, func(p *peer) {
		p.request()
		p.say(okHead + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		for i := range 20 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.Flush()
			p.say(fmt.Sprintf("%x\r\n%s\r\n", b.Len(), b.Bytes()))
			b.Reset()
			<-next
		}
		w.Close()
		p.say(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", b.Len(), b.Bytes()))
		p.request()
	})
	c := p.client()
	var a Attempt
	if err := a.Send(c, stream("{}")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	for i := range 20 {
		n, err := io.ReadAtLeast(&a, buf, len(fmt.Sprintf("data: %d\n\n", i)))
		if want := fmt.Sprintf("data: %d\n\n", i); err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q %v, want %q", buf[:n], err, want)
		}
		next <- true
	}
	if n, err := a.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("got %d %v, want the end", n, err)
	}
	a.Close()
	if s := c.Stats(); s.Idle != 1 {
		t.Errorf("got %+v, want the connection kept", s)
	}
}

// Broken compression is an error, never a shorter answer.
func TestBrokenCompression(t *testing.T) {
	whole := gzipWhole(strings.Repeat("hello", 100))
	f := func(name, sent string, want error) {
		t.Helper()
		p := provide(t, answers(fmt.Sprintf(okHead+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(sent), sent)))
		c := p.client()
		var a Attempt
		_, _, err := exchange(&a, c, post("{}"))
		if e := asError(t, err); !errors.Is(err, want) || e.Timeout || e.Cancelled {
			t.Errorf("%s: got %#v, want %v", name, e, want)
		}
		if s := c.Stats(); s.Idle != 0 {
			t.Errorf("%s: the connection was kept", name)
		}
	}
	f("not gzip", "hello, hello, hello", ErrMalformed)
	f("cut short", whole[:len(whole)-9], ErrShortBody)
	f("cut in its head", whole[:5], ErrShortBody)
	f("a wrong checksum", whole[:len(whole)-8]+"abcd"+whole[len(whole)-4:], ErrMalformed)
	f("something behind it", whole+"hello, hello", ErrMalformed)
}
