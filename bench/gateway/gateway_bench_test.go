package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/bench/testbed"
)

const (
	answerBytes = 1024
	events      = 20
)

// BenchmarkGateway measures a short request and answer, a stream, and a long
// prompt. The provider answers at once.
func BenchmarkGateway(b *testing.B) {
	bed, err := testbed.New(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer bed.Close()
	if err := bed.Build(""); err != nil {
		b.Fatal(err)
	}
	if err := bed.StartProvider("-answer", fmt.Sprint(answerBytes), "-events", fmt.Sprint(events), "-gap", "0"); err != nil {
		b.Fatal(err)
	}
	gateway, err := bed.StartGateway()
	if err != nil {
		b.Fatal(err)
	}
	f := func(name string, stream bool, prompt int) {
		b.Run(name, func(b *testing.B) { benchmark(b, gateway, stream, prompt) })
	}
	f("whole=1KB", false, 1<<10)
	f("prompt=64KB", false, 64<<10)
	f("stream=20", true, 1<<10)
}

// benchmark sends one request after the other on one connection, and reports
// what the gateway took for them.
func benchmark(b *testing.B, gateway *testbed.Server, stream bool, prompt int) {
	c := dial(b, gateway, stream, prompt)
	for range 100 { // its connections, pools and counters
		c.ask(b)
	}
	before := measure(b, gateway)
	asked := 0
	for b.Loop() {
		c.ask(b)
		asked++
	}
	after := measure(b, gateway)
	each := 1 / float64(asked)
	b.ReportMetric(float64((after.cpu-before.cpu)/time.Microsecond)*each, "cpu-us/op")
	b.ReportMetric((after.mallocs-before.mallocs)*each, "gateway-allocs/op")
}

// measured is what a process has used since its start.
type measured struct {
	cpu     time.Duration
	mallocs float64
}

func measure(b *testing.B, s *testbed.Server) (m measured) {
	b.Helper()
	var err error
	if m.mallocs, err = s.Metric("go_memstats_mallocs_total"); err != nil {
		b.Fatal(err)
	}
	if m.cpu, err = s.CPU(); err != nil {
		b.Fatal(err)
	}
	return m
}

// caller is a client on one connection, with one request.
type caller struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
	stream  bool
	answer  fasthttp.Response
}

func dial(b *testing.B, s *testbed.Server, stream bool, prompt int) *caller {
	b.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &caller{conn: conn, in: bufio.NewReaderSize(conn, 16<<10), request: s.ChatRequest(stream, prompt), stream: stream}
}

// ask sends the request, and checks that the answer is whole.
func (c *caller) ask(b *testing.B) {
	if _, err := c.conn.Write(c.request); err != nil {
		b.Fatal(err)
	}
	if err := c.answer.Read(c.in); err != nil {
		b.Fatal(err)
	}
	body := c.answer.Body()
	whole := len(body) == answerBytes
	if c.stream {
		whole = bytes.Count(body, []byte("\ndata: ")) >= events && bytes.HasSuffix(body, []byte("data: [DONE]\n\n"))
	}
	if c.answer.StatusCode() != fasthttp.StatusOK || !whole {
		b.Fatalf("%d with %d bytes: %.300s", c.answer.StatusCode(), len(body), body)
	}
}
