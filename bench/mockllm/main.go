// Command mockllm is a cheap model provider to measure a gateway with: it
// answers every POST at once, or after -delay, with a chat completion of a fixed size, or with a
// stream of events at a fixed pace if the request asks to stream.
//
//	mockllm -addr 127.0.0.1:9000 -answer 1024 -events 100 -gap 20ms
//
// It does not look at keys, models or messages: what it costs is sockets and
// little else, so that what is measured is the gateway.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "address to listen on")
	size := flag.Int("answer", 1024, "bytes of an answer that is not streamed")
	events := flag.Int("events", 100, "events of a stream")
	delay := flag.Duration("delay", 0, "time until the head of an answer")
	gap := flag.Duration("gap", 20*time.Millisecond, "pause between two of them")
	flag.Parse()

	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	m := &mock{whole: whole(*size), events: *events, delay: *delay, gap: *gap}
	s := &fasthttp.Server{
		Handler:               m.answer,
		ReadBufferSize:        16 << 10,
		MaxRequestBodySize:    64 << 20,
		NoDefaultServerHeader: true,
	}
	fmt.Println("mockllm on", ln.Addr())
	log.Fatal(s.Serve(downstream.NewListener(ln, downstream.Options{})))
}

type mock struct {
	whole  []byte
	events int
	delay  time.Duration
	gap    time.Duration
}

func (m *mock) answer(ctx *fasthttp.RequestCtx) {
	if m.delay > 0 && ctx.IsPost() {
		time.Sleep(m.delay)
	}
	if bytes.Contains(ctx.PostBody(), []byte(`"stream":true`)) {
		ctx.SetContentType("text/event-stream")
		ctx.Response.SetBodyStream(&stream{m}, -1)
		return
	}
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(m.whole)
}

// whole makes an answer of size bytes, or of the least that is possible.
func whole(size int) []byte {
	const head = `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,` +
		`"message":{"role":"assistant","content":"`
	const tail = `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":150,"total_tokens":350}}`
	return []byte(head + strings.Repeat("x", max(0, size-len(head)-len(tail))) + tail)
}

const (
	piece = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":[{"index":0,` +
		`"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n"
	end = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":[{"index":0,` +
		`"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":[],` +
		`"usage":{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}}` + "\n\n" +
		"data: [DONE]\n\n"
)

// stream writes its events at the mock's pace.
type stream struct{ *mock }

func (*stream) SupportsBodyWriteTo() bool { return true }

func (*stream) Read([]byte) (int, error) { panic("BUG: WriteTo is for that") }

func (s *stream) WriteTo(w io.Writer) (total int64, err error) {
	for i := 0; i < s.events && err == nil; i++ {
		if i > 0 {
			time.Sleep(s.gap)
		}
		var n int
		n, err = io.WriteString(w, piece)
		total += int64(n)
	}
	if err != nil {
		return total, err
	}
	n, err := io.WriteString(w, end)
	return total + int64(n), err
}
