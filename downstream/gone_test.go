package downstream

import (
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// told receives the moment at which ClientGone was called.
type told chan time.Time

func (t told) ClientGone() { t <- time.Now() }

// A client's leaving is told within 50 ms: however it leaves, whatever the
// request waits for, with and without TLS.
func TestClientGone(t *testing.T) {
	leave := map[string]func(*caller){
		"fin":       func(c *caller) { c.tcp.Close() },
		"rst":       (*caller).reset,
		"half":      func(c *caller) { c.tcp.CloseWrite() },
		"pipelined": func(c *caller) { c.get("/next"); c.tcp.Close() },
	}
	if runtime.GOOS != "linux" {
		delete(leave, "pipelined") // see gone_other.go
	}
	f := func(name, path string, secure bool) {
		kind := "plain"
		if secure {
			kind = "tls"
		}
		t.Run(kind+path+"/"+name, func(t *testing.T) {
			began, gone := make(chan bool, 10), make(told, 10) // room for pipelined ones, too
			r := newRig(t, Options{}, secure, waiting(began, gone))
			var took time.Duration
			for range 5 { // a busy machine may stumble, not five times
				c := r.dial(t)
				c.get(path)
				within(t, "the request", began)
				left := time.Now()
				leave[name](c)
				took = within(t, "being told", gone).Sub(left)
				if took <= 50*time.Millisecond {
					return
				}
			}
			t.Fatalf("told after %v", took)
		})
	}
	for name := range leave {
		for _, secure := range []bool{false, true} {
			f(name, "/handler", secure) // waiting for the provider's first byte
			f(name, "/stream", secure)  // in a stream's silence
		}
	}
}

// waiting serves requests that end when their client has gone.
func waiting(began chan<- bool, gone told) func(*rig, *fasthttp.RequestCtx) {
	return func(r *rig, ctx *fasthttp.RequestCtx) {
		x := &silence{began: began, over: make(chan bool), gone: gone}
		r.watcher.Start(&x.watch, ctx.Conn(), x)
		if string(ctx.Path()) == "/stream" {
			ctx.Response.SetBodyStream(x, -1)
			return
		}
		began <- true
		<-x.over
		x.watch.Stop()
	}
}

// silence is a stream that stays silent until its client has gone.
type silence struct {
	watch Watch
	began chan<- bool
	over  chan bool
	gone  told
	sent  bool
}

func (x *silence) ClientGone() {
	x.gone.ClientGone()
	close(x.over)
}

func (x *silence) Read(p []byte) (int, error) {
	if !x.sent {
		x.sent = true
		return copy(p, "data: first\n\n"), nil
	}
	x.began <- true
	<-x.over
	return 0, io.ErrUnexpectedEOF
}

func (x *silence) Close() error {
	x.watch.Stop()
	return nil
}

// Bytes sent ahead are no leaving, and a connection is registered once for all
// its requests.
func TestClientStays(t *testing.T) {
	gone := make(told, 1)
	r := newRig(t, Options{}, false, func(r *rig, ctx *fasthttp.RequestCtx) {
		var h Watch
		r.watcher.Start(&h, ctx.Conn(), gone)
		defer h.Stop()
		if n := r.watcher.Watching(); n != 1 {
			ctx.Error("watching "+strconv.Itoa(n), 500)
			return
		}
		ctx.SetBodyString("fine")
	})
	c := r.dial(t)
	for range 100 {
		c.get("/a")
		c.get("/b")
		for range 2 {
			if got := c.answer(); got != "200 fine" {
				t.Fatal(got)
			}
		}
	}
	select {
	case <-gone:
		t.Fatal("told that a client has gone who is there")
	default:
	}
}

// A request that starts after its client has gone is told at once, and so is
// every later one on that connection.
func TestGoneBeforeStart(t *testing.T) {
	w := newWatcher(t)
	_, c, client := pair(t, Options{})
	client.Close()
	gone := make(told, 1)
	for range 3 {
		var h Watch
		w.Start(&h, c, gone)
		within(t, "being told", gone)
		h.Stop()
		h.Stop() // harmless
	}
}

// What cannot be watched is not watched, and stopping it is harmless.
func TestUnwatchable(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, c, _ := pair(t, Options{})
	_, closed, _ := pair(t, Options{})
	closed.Close()
	stopped := newWatcher(t)
	must(t, stopped.Close())

	f := func(w *Watcher, conn net.Conn) {
		t.Helper()
		var h Watch
		w.Start(&h, conn, nil)
		if h.conn != nil {
			t.Fatal("watched")
		}
		h.Stop()
	}
	f(nil, c)
	f(newWatcher(t), a)
	f(newWatcher(t), closed)
	f(stopped, c)
}

func TestSecondWatchIsABug(t *testing.T) {
	w := newWatcher(t)
	_, c, _ := pair(t, Options{})
	var a, b Watch
	w.Start(&a, c, nil)
	defer a.Stop()
	defer func() {
		if recover() == nil {
			t.Error("a second watch was accepted")
		}
	}()
	w.Start(&b, c, nil)
}

// The client leaves while Stop runs: ClientGone is called before Stop returns
// or never.
func TestStopAgainstLeaving(t *testing.T) {
	w := newWatcher(t)
	l := listen(t, Options{})
	for range 2000 {
		c, client := connect(t, l)
		x := &mortal{}
		w.Start(&x.watch, c, x)
		go client.Close()
		for range rand.IntN(40) {
			runtime.Gosched()
		}
		x.watch.Stop()
		x.ended = true // a late ClientGone is a data race here, and a failure there
		c.Close()
	}
	if dead := lateCalls.Load(); dead != 0 {
		t.Fatalf("told %d times after Stop", dead)
	}
}

var lateCalls atomic.Int64

// mortal is a request whose memory is somebody else's after Stop.
type mortal struct {
	watch Watch
	ended bool
}

func (x *mortal) ClientGone() {
	if x.ended {
		lateCalls.Add(1)
	}
}

// Thousands of connections come and go, so that descriptors, pooled requests
// and their watches are used again and again: nobody is told of another
// client's leaving.
func TestChurn(t *testing.T) {
	connections := 2000
	if testing.Short() {
		connections = 200
	}
	h := &hammer{left: make([]atomic.Bool, connections*3)}
	r := newRig(t, Options{}, false, h.serve)
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= connections {
					return
				}
				h.visit(t, r, n)
			}
		})
	}
	clients.Wait()
	if n := h.wrong.Load(); n != 0 {
		t.Fatalf("%d requests were told of another client's leaving", n)
	}
	if h.told.Load() == 0 {
		t.Fatal("nobody was told anything")
	}
	t.Logf("%d of %d requests were told", h.told.Load(), h.served.Load())
}

// hammer serves requests named by a number, and knows whose client has left.
type hammer struct {
	left                []atomic.Bool // by request
	served, told, wrong atomic.Int64
	pool                sync.Pool
}

type blow struct {
	watch  Watch
	hammer *hammer
	id     int
	over   chan bool
}

func (x *blow) ClientGone() {
	if !x.hammer.left[x.id].Load() {
		x.hammer.wrong.Add(1)
	}
	x.hammer.told.Add(1)
	x.over <- true
}

func (h *hammer) serve(r *rig, ctx *fasthttp.RequestCtx) {
	x, _ := h.pool.Get().(*blow)
	if x == nil {
		x = &blow{hammer: h, over: make(chan bool, 1)}
	}
	x.id, _ = strconv.Atoi(string(ctx.Path()[2:]))
	r.watcher.Start(&x.watch, ctx.Conn(), x)
	if ctx.Path()[1] == 'w' { // waits for the leaving
		<-x.over
	}
	x.watch.Stop()
	select {
	case <-x.over:
	default:
	}
	x.id = -1
	h.served.Add(1)
	h.pool.Put(x)
	ctx.SetBodyString("done")
}

// visit makes up to two answered requests and leaves in one of several ways
// while a third is being served.
func (h *hammer) visit(t *testing.T, r *rig, n int) {
	c := r.dial(t)
	id := 3 * n
	for range rand.IntN(3) {
		c.get("/a" + strconv.Itoa(id))
		c.answer()
		id++
	}
	kind := "/w"
	if rand.IntN(3) == 0 {
		kind = "/a" // leaves just when it is answered
	}
	c.get(kind + strconv.Itoa(id))
	h.left[id].Store(true)
	switch rand.IntN(3) {
	case 0:
		c.tcp.Close()
	case 1:
		c.reset()
	default:
		c.tcp.CloseWrite()
		io.Copy(io.Discard, c.conn)
		c.tcp.Close()
	}
}

func newWatcher(t testing.TB) *Watcher {
	t.Helper()
	w, err := NewWatcher()
	must(t, err)
	t.Cleanup(func() { w.Close() })
	return w
}

func listen(t testing.TB, o Options) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := NewListener(inner, o)
	t.Cleanup(func() { l.Close() })
	return l
}

// connect makes one connection to l and returns both ends.
func connect(t testing.TB, l *Listener) (*Conn, *net.TCPConn) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	conn, err := l.Accept()
	must(t, err)
	return conn.(*Conn), client.(*net.TCPConn)
}

func pair(t testing.TB, o Options) (*Listener, *Conn, *net.TCPConn) {
	t.Helper()
	l := listen(t, o)
	c, client := connect(t, l)
	t.Cleanup(func() { client.Close(); c.Close() })
	return l, c, client
}
