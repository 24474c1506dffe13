//go:build !race && !portable

package upstream

import (
	"bytes"
	"strings"
	"testing"
)

// BenchmarkAppendHead writes the head of a request as the gateway sends it.
func BenchmarkAppendHead(b *testing.B) {
	c := newClient(b, Settings{APIBase: "https://api.example.com/v1", APIKey: "sk-0123456789abcdef"})
	q := post(strings.Repeat("q", 1024))
	q.RequestID, q.Header = []byte("0123456789abcdef0123456789abcdef"), []byte("Openai-Beta: assistants=v2\r\n")
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = c.appendHead(dst[:0], q)
		if !bytes.HasSuffix(dst, []byte("Content-Length: 1024\r\n\r\n")) {
			b.Fatalf("%s", dst)
		}
	}
}

// BenchmarkHead reads the head of an answer as OpenAI sends it.
func BenchmarkHead(b *testing.B) {
	f := func(name, text string, length int64) {
		b.Run(name, func(b *testing.B) {
			head := []byte(text)
			var parsed Header
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				parsed.Reset()
				h := headScan{header: &parsed}
				end, err := h.scan(head)
				if err != nil || end != len(head) || h.status != 200 {
					b.Fatal(end, h.status, err)
				}
				if h.finish(head); parsed.length != length {
					b.Fatal(parsed.length)
				}
			}
		})
	}
	f("short", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n", 1024)
	f("openai", realHead+"Content-Length: 1024\r\n\r\n", 1024)
	f("stream", realHead+"Transfer-Encoding: chunked\r\n\r\n", -1)
}

// BenchmarkChunked takes the framing off a stream's bytes.
func BenchmarkChunked(b *testing.B) {
	const events = 64
	one := "data: {\"choices\":[{\"delta\":{\"content\":\" hello\"}}]}\n\n"
	wire := []byte(strings.Repeat("34\r\n"+one+"\r\n", events) + "0\r\n\r\n")
	buf := make([]byte, len(wire))
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		var c chunked
		n, used, err := c.decode(buf[:copy(buf, wire)])
		if err != nil || used != len(wire) || n != events*len(one) || !c.done() {
			b.Fatal(n, used, err, c.done())
		}
	}
}
