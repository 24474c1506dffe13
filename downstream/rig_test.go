package downstream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// rig is a real fasthttp server on the loopback that serves one handler
// through a Listener.
type rig struct {
	*Listener
	watcher *Watcher
	tls     *tls.Config // of the clients; nil: plain
	addr    string
	log     logBook
}

func newRig(t testing.TB, o Options, secure bool, handler func(*rig, *fasthttp.RequestCtx)) *rig {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &rig{Listener: NewListener(inner, o), addr: inner.Addr().String()}
	r.watcher, err = NewWatcher()
	must(t, err)
	var ln net.Listener = r.Listener
	if secure {
		certFile, keyFile := t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
		writePair(t, certFile, keyFile, newPair(t, "localhost"))
		cert, err := LoadCertificate(certFile, keyFile, nil)
		must(t, err)
		ln = NewTLSListener(r.Listener, cert)
		r.tls = &tls.Config{InsecureSkipVerify: true}
	}
	s := &fasthttp.Server{
		Handler:     func(ctx *fasthttp.RequestCtx) { handler(r, ctx) },
		Logger:      &r.log,
		ReadTimeout: time.Minute, IdleTimeout: time.Minute,
		StreamRequestBody: true, DisablePreParseMultipartForm: true, CloseOnShutdown: true,
		MaxIdleWorkerDuration: 10 * time.Millisecond, // so that the pool's cleaner ends soon after the test
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(ln) })
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		serving.Wait()
		eventually(t, "connections are closed and forgotten", func() bool {
			return r.Stats().Open == 0 && r.watcher.Watching() == 0
		})
		must(t, r.watcher.Close())
	})
	return r
}

// logBook counts what the server would have logged.
type logBook struct{ lines atomic.Int64 }

func (b *logBook) Printf(string, ...any) { b.lines.Add(1) }

// caller is a client on one raw connection.
type caller struct {
	t    testing.TB
	tcp  *net.TCPConn
	conn net.Conn // tcp, or TLS on it
	in   *bufio.Reader
}

func (r *rig) dial(t testing.TB) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	must(t, err)
	c := &caller{t: t, tcp: conn.(*net.TCPConn), conn: conn}
	if r.tls != nil {
		c.conn = tls.Client(conn, r.tls)
	}
	c.in = bufio.NewReader(c.conn)
	t.Cleanup(func() { conn.Close() })
	return c
}

func (c *caller) get(path string) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	must(c.t, err)
}

func (c *caller) answer() string {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	must(c.t, err)
	body, err := io.ReadAll(resp.Body)
	must(c.t, err)
	return strconv.Itoa(resp.StatusCode) + " " + string(body)
}

// reset closes with RST instead of FIN.
func (c *caller) reset() {
	c.tcp.SetLinger(0)
	c.tcp.Close()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within fails the test unless ch delivers soon.
func within[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal(what + " did not happen")
		panic("unreachable")
	}
}

// eventually fails the test unless ok becomes true soon.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not true after 20 s: %s", what)
		}
	}
}
