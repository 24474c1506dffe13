//go:build !race

package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"llmproxy/downstream"
	"llmproxy/store"
	"llmproxy/tokens"
	"llmproxy/usage"
)

// These tests count what the whole data plane allocates for a request, on real
// sockets, with everything on: limits of every kind, three weighted providers,
// prices, metrics, the watch for clients that leave, the ledger. The client and
// the providers are in this process, too, and allocate nothing.

// A short request that is answered whole costs three allocations: the record's
// two strings, and the text of the time until the caller's tokens are back. The
// limits leave one to chance. The record's way to the journal is included.
func TestProxiedRequestAllocatesLittle(t *testing.T) {
	f := func(name, request, answer string, limit float64) {
		t.Helper()
		p := newProxied(t, answer, nowhere{}, time.Hour)
		c := p.dial(t, request)
		got := allocations(func() { c.ask(t) }, func() {})
		t.Logf("%s: %.2f allocations a request", name, got)
		if got > limit {
			t.Errorf("%s: %.2f allocations a request, want %v at most", name, got, limit)
		}
	}
	f("whole", wholeRequest, wholeAnswer(1024), 4)
	f("whole, 64 KB prompt", promptOf(64<<10), wholeAnswer(1024), 6)
	f("stream of 100 events", streamRequest, streamAnswer(100), 6)
}

// With what the embedded store does with the record, in batches and beside the
// requests, it is hardly more.
func TestStoredRequestAllocatesLittle(t *testing.T) {
	const limit = 6
	p := newProxied(t, wholeAnswer(1024), embedded(t), 10*time.Millisecond)
	c := p.dial(t, wholeRequest)
	asked := int64(0)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	got := allocations(func() { c.ask(t); asked++ }, func() {
		for p.ledger.Stored() < asked && !t.Failed() {
			<-tick.C
		}
	})
	t.Logf("%.2f allocations a request, until it is stored", got)
	if got > limit {
		t.Errorf("%.2f allocations a request until it is stored, want %d at most", got, limit)
	}
}

// allocations asks many times, twice so often to warm up, and returns how many
// objects were made meanwhile by whomever, for each time; each ends with done.
// No collection empties the pools in between.
func allocations(ask, done func()) float64 {
	const n = 1000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range 2 * n {
		ask()
	}
	done()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		ask()
	}
	done()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / n
}

// nowhere is a store of usage that takes all and keeps nothing.
type nowhere struct{}

func (nowhere) Ship(_ context.Context, b usage.Batch) (usage.Shipped, error) {
	return usage.Shipped{Position: b.To}, nil
}
func (nowhere) Forget(context.Context, uint64) error      { return nil }
func (nowhere) Tidy(context.Context) (more bool, _ error) { return false, nil }

// embedded is the store of usage that a gateway without a database has.
func embedded(tb testing.TB) usage.Store {
	s, err := store.Open(store.Options{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	u := store.OpenUsage(s, store.UsageOptions{Dir: tb.TempDir(), Days: 30})
	tb.Cleanup(func() { u.Close() })
	return u
}

// proxied is a data plane on a socket, with three providers that give the same
// answer again and again.
type proxied struct {
	addr   string
	answer string
	ledger *usage.Ledger
}

func newProxied(tb testing.TB, answer string, keep usage.Store, shipEvery time.Duration) *proxied {
	tb.Helper()
	var bases []string
	for range 3 {
		bases = append(bases, "http://"+provideFixed(tb, answer)+"/v1")
	}
	ledger := usage.NewLedger(usage.Options{Dir: tb.TempDir(), Store: keep, ShipEvery: shipEvery})
	tb.Cleanup(func() { ledger.Close(context.Background()) })
	watcher, err := downstream.NewWatcher()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = watcher.Close() })
	pool := tokens.NewPool(tokens.Options{Workers: 1})
	tb.Cleanup(func() { pool.Close(context.Background()) })
	live, registry := fixedTable(tb, bases...)
	o := Options{
		MaxBodyBytes: 1 << 20, MaxHeaderBytes: 16 << 10, MaxAnswerBytes: 256 << 10, MaxEventBytes: 1 << 20, MaxAttempts: 3, RetryBudget: 20,
		ReadTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	s := New(o, Deps{Live: live, Metrics: registry, Tokens: pool, Sink: ledger, Watcher: watcher, Log: slog.New(slog.DiscardHandler)})
	ln := listen(tb)
	served := make(chan error, 1)
	go func() { served <- s.Serve(downstream.NewListener(ln, downstream.Options{WriteTimeout: time.Minute})) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-served
	})
	return &proxied{ln.Addr().String(), answer, ledger}
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return ln
}

// provideFixed answers every request with the same bytes, and allocates for a
// connection only. It returns its address.
func provideFixed(tb testing.TB, answer string) string {
	ln := listen(tb)
	tb.Cleanup(func() { ln.Close() })
	bytes := []byte(answer)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerFixed(conn, bytes)
		}
	}()
	return ln.Addr().String()
}

func answerFixed(conn net.Conn, answer []byte) {
	defer conn.Close()
	m := newMessages(conn)
	for m.next() == nil {
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// messages reads HTTP messages away, by their Content-Length or to their last
// chunk, without allocating.
type messages struct {
	in    io.Reader
	buf   []byte
	have  int
	first []byte // of the last message: what is in buf of it, until the next
}

func newMessages(in io.Reader) *messages { return &messages{in: in, buf: make([]byte, 256<<10)} }

var (
	headEnd   = []byte("\r\n\r\n")
	lastChunk = []byte("\r\n0\r\n\r\n")
	lengthIs  = []byte("Content-Length: ")
)

// next reads one whole message. They come one at a time: nothing follows it.
func (m *messages) next() error {
	for m.have = 0; ; {
		n, err := m.in.Read(m.buf[m.have:])
		if err != nil {
			return err
		}
		m.have += n
		if m.first = m.buf[:m.have]; whole(m.first) {
			return nil
		}
		if m.have == len(m.buf) {
			return io.ErrShortBuffer
		}
	}
}

// whole reports whether b is a message to its end.
func whole(b []byte) bool {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return false
	}
	at := bytes.Index(b[:end], lengthIs)
	if at < 0 {
		return bytes.HasSuffix(b, lastChunk)
	}
	length := 0
	for _, c := range b[at+len(lengthIs) : end] {
		if c < '0' || c > '9' {
			break
		}
		length = length*10 + int(c-'0')
	}
	return len(b) == end+len(headEnd)+length
}

// asker is a client on one connection.
type asker struct {
	conn    net.Conn
	request []byte
	in      *messages
	want    []byte // stands near the end of every answer
}

// dial makes a client that sends the request again and again.
func (p *proxied) dial(tb testing.TB, request string) *asker {
	tb.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	want := usageOf
	if strings.Contains(p.answer, "[DONE]") {
		want = "data: [DONE]"
	}
	return &asker{conn, []byte(request), newMessages(conn), []byte(want)}
}

var statusOK = []byte("HTTP/1.1 200 ")

// ask sends the request, and checks that the answer is the provider's.
func (c *asker) ask(tb testing.TB) {
	if _, err := c.conn.Write(c.request); err != nil {
		tb.Fatal(err)
	}
	if err := c.in.next(); err != nil {
		tb.Fatal(err)
	}
	if !bytes.HasPrefix(c.in.first, statusOK) || !bytes.Contains(c.in.first, c.want) {
		tb.Fatalf("%.600s", c.in.first)
	}
}

const usageOf = `"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}`

func chatRequest(body string) string {
	return "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + fixedKey +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func promptOf(size int) string {
	return chatRequest(`{"model":"gpt-4","max_tokens":256,"messages":[{"role":"user","content":"` + strings.Repeat("x", size) + `"}]}`)
}

var (
	wholeRequest  = promptOf(1024)
	streamRequest = chatRequest(`{"model":"gpt-4","max_tokens":256,"stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("x", 1024) + `"}]}`)
)

const fixedHead = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nX-Request-Id: req_0123456789abcdef\r\n" +
	"Openai-Processing-Ms: 321\r\nX-Ratelimit-Remaining-Tokens: 1999978\r\n"

// wholeAnswer has a text of so many bytes.
func wholeAnswer(size int) string {
	body := `{"id":"c","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("y", size) + `"},"finish_reason":"stop"}],` + usageOf + `}`
	return fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", fixedHead, len(body), body)
}

// streamAnswer has so many events of text, and the usage after them.
func streamAnswer(events int) string {
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	text := chunk("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" hello\"}}]}\n\n")
	return fixedHead + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(text, events) +
		chunk("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],"+usageOf+"}\n\n") + chunk("data: [DONE]\n\n") + "0\r\n\r\n"
}
