package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// unchunk decodes raw as if it came in reads of the given sizes, over and over.
func unchunk(raw []byte, sizes []byte) (data []byte, used int, done bool, err error) {
	var c chunked
	for i := 0; used < len(raw) && !c.done(); i++ {
		size := 1
		if len(sizes) > 0 {
			size = max(1, int(sizes[i%len(sizes)]))
		}
		p := bytes.Clone(raw[used:min(used+size, len(raw))])
		n, k, err := c.decode(p)
		data = append(data, p[:n]...)
		used += k
		if err != nil {
			return data, used, false, err
		}
	}
	return data, used, c.done(), nil
}

// Whatever the chunks and however they are cut, the data comes out, and the
// bytes behind the end are left alone.
func TestChunkedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var raw, want bytes.Buffer
		for range rapid.IntRange(0, 20).Draw(t, "chunks") {
			part := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "part")
			ext := rapid.SampledFrom([]string{"", " ", "\t ", ";a", ";a=b", `;a="b;c"`}).Draw(t, "extension")
			format := rapid.SampledFrom([]string{"%x", "%X", "%08x"}).Draw(t, "format")
			fmt.Fprintf(&raw, format+"%s\r\n%s\r\n", len(part), ext, part)
			want.Write(part)
		}
		raw.WriteString(rapid.SampledFrom([]string{"0", "000", "0;a"}).Draw(t, "last"))
		raw.WriteString("\r\n")
		raw.WriteString(rapid.SampledFrom([]string{"", "a: b\r\n", "a: b\r\nc:\r\n"}).Draw(t, "trailers"))
		raw.WriteString("\r\n")
		end := raw.Len()
		raw.WriteString(rapid.SampledFrom([]string{"", "HTTP/1.1 200 OK\r\n\r\n", "\r\n"}).Draw(t, "behind"))

		sizes := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "sizes")
		data, used, done, err := unchunk(raw.Bytes(), sizes)
		if err != nil || !done || used != end || !bytes.Equal(data, want.Bytes()) {
			t.Fatalf("%q in %v: got %q, %d of %d, done %v, %v", raw.Bytes(), sizes, data, used, end, done, err)
		}
	})
}

// FuzzChunked holds the decoder against net/http's: what one takes for a whole
// body the other does, with the same data; both refuse the rest.
func FuzzChunked(f *testing.F) {
	for _, seed := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n", "A\r\n0123456789\r\n00\r\n\r\nHTTP/1.1 200 OK\r\n",
		"5 \r\nhello\r\n0\r\n\r\n", "5 ;a\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
		"-5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "\r\n\r\n", "5\r\nhel", "5\r\rhello\r\n0\r\n\r\n", "5;\r\rhello\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", "0000000000000005\r\nhello\r\n0\r\n\r\n",
		"0\r\n\r\n", "0\r\na\r\n\r\n", "0\r\na\n\r\n", "0\r\n\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n",
		"5\r\nhello\r\n 0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n", "5;" + strings.Repeat("a", 300) + "\r\nhello\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed), []byte{3})
		f.Add([]byte(seed), []byte{255})
		f.Add([]byte(seed), []byte{1, 2, 7})
	}
	f.Fuzz(func(t *testing.T, raw, sizes []byte) {
		data, used, done, err := unchunk(raw, sizes)
		whole, usedWhole, doneWhole, errWhole := unchunk(raw, []byte{255})
		if !bytes.Equal(data, whole) || used != usedWhole || done != doneWhole || (err == nil) != (errWhole == nil) {
			t.Fatalf("cuts matter: %q %d %v %v, %q %d %v %v", data, used, done, err, whole, usedWhole, doneWhole, errWhole)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("got %v", err)
		}
		theirs, ended := theirUnchunk(raw)
		switch {
		case ended != (done || err == errTrailers || inTrailers(raw, data, done, err)):
			t.Fatalf("we: %q, done %v, %v; net/http: %q, ended %v", data, done, err, theirs, ended)
		case ended && !bytes.Equal(data, theirs):
			t.Fatalf("we got %q, net/http %q", data, theirs)
		case !ended && !bytes.HasPrefix(data, theirs) && !bytes.HasPrefix(theirs, data):
			t.Fatalf("we got %q, net/http %q", data, theirs)
		}
	})
}

// theirUnchunk is net/http's view; it stops in front of the trailers.
func theirUnchunk(raw []byte) (data []byte, ended bool) {
	data, err := io.ReadAll(httputil.NewChunkedReader(bufio.NewReaderSize(bytes.NewReader(raw), 64<<10)))
	return data, err == nil
}

// inTrailers reports whether the last chunk was seen but not yet its end.
func inTrailers(raw, data []byte, done bool, err error) bool {
	if done || err != nil {
		return false
	}
	var c chunked
	c.decode(bytes.Clone(raw))
	return c.state >= trailerStart
}
