package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// firehose is a provider whose streams send events as fast as they are taken,
// without end. pushed is what the kernel took of all of them.
type firehose struct {
	url    string
	pushed atomic.Int64
	open   atomic.Int64 // streams
}

func newFirehose(t *testing.T) *firehose {
	h := &firehose{}
	event := []byte(strings.Repeat(chunk(strings.Repeat("x", 800)), 4))
	h.url = "http://" + silent(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		h.open.Add(1)
		defer h.open.Add(-1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
		for {
			n, err := c.Write(event)
			h.pushed.Add(int64(n))
			if err != nil {
				c.Close()
				return
			}
		}
	}) + "/v1"
	return h
}

// stalls waits until nothing more is pushed for a while, and returns how much was.
func (h *firehose) stalls(t *testing.T) int64 {
	t.Helper()
	last, same := int64(-1), 0
	eventually(t, "the provider can push no more", func() bool {
		if now := h.pushed.Load(); now != last {
			last, same = now, 0
		} else {
			same++
		}
		return same > 100 // of 2 ms
	})
	return last
}

// slow opens a stream, reads its beginning and then nothing.
func slow(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
	if _, err := io.WriteString(c, httpRequest(chat, helloSSE)); err != nil {
		t.Fatal(err)
	}
	readUntil(t, c, "data: ")
	return c
}

// Clients that do not read hold up their own streams as far back as the
// provider: what the gateway holds of each is bounded, whatever the provider
// would like to send. Others do not notice. R16.
func TestSlowReaders(t *testing.T) {
	const streams = 8
	// Ahead of a reader are the gateway's buffer and the kernel's on both of its
	// sides, of which that towards the provider grows to some MiB by itself.
	const memory, ahead = 256 << 10, 4 << 20
	h := newFirehose(t)
	good := fakeprovider.Start(t)
	set := serves(good)
	set.Providers = append(set.Providers, provider(9, "firehose", h.url))
	set.Providers[0].ModelMapping = map[string]string{"gpt-5": "gpt-5"}
	set.Providers[1].ModelMapping = map[string]string{"gpt-4": "gpt-4"}
	// What is kept for counting tokens has its own limit.
	r := start(t, set, func(o *server.Options, _ *route.Builder) { o.MaxTextBytes = 64 << 10 })
	address, _ := r.alsoOn(t, downstream.Options{WriteTimeout: time.Minute})
	before := heap()
	var all []net.Conn
	for range streams {
		all = append(all, slow(t, address))
	}
	pushed := h.stalls(t)
	if each := pushed / streams; each > ahead {
		t.Errorf("the provider could push %d KiB ahead of a reader that reads nothing", each>>10)
	}
	if held := int64(heap()-before) / streams; held > memory {
		t.Errorf("%d KiB of heap for a stream", held>>10)
	} else {
		t.Logf("%d KiB of heap a stream, %d KiB pushed", held>>10, pushed/streams>>10)
	}
	for range 20 {
		if got := r.post(chat, helloFive); got.status != 200 {
			t.Errorf("another client: %d %s", got.status, got.body)
		}
	}
	// Who reads on gets on.
	_ = all[0].SetReadDeadline(time.Now().Add(30 * time.Second * slack))
	if n, err := io.CopyN(io.Discard, all[0], pushed/streams+1<<20); err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	for _, c := range all {
		c.Close()
	}
	eventually(t, "the provider's streams are closed", func() bool { return h.open.Load() == 0 })
}

// A client that takes nothing for longer than the write timeout is cut: its
// stream is counted as cancelled, the provider's connection is closed. It is
// all the same to the gateway whether it is there and does not read, or has
// vanished without a word (for that the kernel's own limit is set, too). R15, R16.
func TestReaderThatStopsIsCut(t *testing.T) {
	const timeout = 300 * time.Millisecond
	h := newFirehose(t)
	set := &config.Set{Version: 1, Providers: []config.Provider{provider(1, "firehose", h.url)}, Credentials: serves().Credentials}
	r := start(t, set)
	address, ln := r.alsoOn(t, downstream.Options{WriteTimeout: timeout})
	const streams = 5
	for range streams {
		slow(t, address)
	}
	eventually(t, "they are cut", func() bool { return ln.Stats().Stalled == streams && ln.Stats().Open == 0 })
	eventually(t, "the provider's streams are closed", func() bool { return h.open.Load() == 0 })
	r.sink.wait(t, streams)
	for _, rec := range r.sink.all() {
		if rec.Outcome != usage.Cancelled {
			t.Errorf("recorded %+v", rec)
		}
	}
	if n := r.metric("llm_proxy_upstream_cancelled_total", `phase="event"`); n != streams {
		t.Errorf("%v counted as cancelled", n)
	}
	if n := r.metric("llm_proxy_active_requests"); n != 0 {
		t.Errorf("%v are still active", n)
	}
}

// A whole answer that nobody takes ends as well.
func TestReaderOfALongAnswerIsCut(t *testing.T) {
	p := fakeprovider.Start(t)
	p.Handle(always(fakeprovider.OK(fmt.Sprintf(`{"choices":[{"message":{"content":"%s"}}]}`, strings.Repeat("x", 32<<20)))))
	r := start(t, serves(p))
	address, ln := r.alsoOn(t, downstream.Options{WriteTimeout: 300 * time.Millisecond})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
	if _, err := io.WriteString(c, httpRequest(chat, hello)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is cut", func() bool { return ln.Stats().Stalled == 1 && ln.Stats().Open == 0 })
	p.Last().WaitGone(t)
	eventually(t, "nothing is in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
}

// alsoOn serves the rig on a second address, where the kernel takes little of
// what a client does not read.
func (r *rig) alsoOn(t *testing.T, o downstream.Options) (address string, ln *downstream.Listener) {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 64<<10) // else the tests take longer
		})
	}}
	inner, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln = downstream.NewListener(inner, o)
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ln) }()
	t.Cleanup(func() {
		r.shutdown(100 * time.Millisecond)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return inner.Addr().String(), ln
}
