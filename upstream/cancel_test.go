package upstream

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soon is within what the work of a client that left must have ended.
const soon = 50 * time.Millisecond

// Whoever learns that the client left ends the attempt, in every phase: the
// owner gets its error and the provider its reset, both at once.
func TestCancelInEveryPhase(t *testing.T) {
	type run struct {
		c     *Client
		q     *Request
		work  func(a *Attempt, waiting func()) error // calls waiting when it is about to block
		asked <-chan bool                            // not nil: and the provider says that it was asked
	}
	// once cancels one attempt and returns how long it took until the owner and
	// the provider knew.
	once := func(name string, phase Phase, sent bool, r run, left <-chan time.Time) (owner, provider time.Duration) {
		t.Helper()
		var a Attempt
		waiting := make(chan bool)
		result := make(chan error, 1)
		go func() {
			result <- r.work(&a, func() { close(waiting) })
		}()
		select {
		case <-waiting:
		case err := <-result:
			t.Fatalf("%s: %v", name, err)
		}
		if r.asked != nil {
			<-r.asked
		}
		time.Sleep(20 * time.Millisecond) // lets it block; nothing depends on it
		began := time.Now()
		a.Cancel(ClientGone)
		a.Cancel(Shutdown)
		err := <-result
		owner = time.Since(began)
		e := asError(t, err)
		if !e.Cancelled || e.Reason != ClientGone || e.Timeout || e.Phase != phase || e.Sent != sent {
			t.Errorf("%s: got %#v, want phase %v, sent %v", name, e, phase, sent)
		}
		if left != nil {
			provider = (<-left).Sub(began)
		}
		// A cancel is final: the owner may be about to try elsewhere.
		if e := asError(t, a.Send(r.c, r.q)); !e.Cancelled || e.Sent {
			t.Errorf("%s: another Send got %#v, want cancelled", name, e)
		}
		a.Close()
		if s := r.c.Stats(); s.Inflight != 0 || s.Idle != 0 {
			t.Errorf("%s: left behind %+v", name, s)
		}
		return owner, provider
	}
	// On a busy machine one of a few must be in time.
	f := func(name string, phase Phase, sent bool, r run, left <-chan time.Time) {
		t.Helper()
		var owner, provider time.Duration
		for range 5 {
			owner, provider = once(name, phase, sent, r, left)
			if owner <= soon && provider <= soon {
				return
			}
		}
		t.Errorf("%s: the owner knew after %v, the provider after %v", name, owner, provider)
	}
	send := func(c *Client, q *Request, asked <-chan bool) run {
		return run{c, q, func(a *Attempt, waiting func()) error {
			waiting()
			err := a.Send(c, q)
			a.Close()
			return err
		}, asked}
	}
	reading := func(c *Client, q *Request, skip int, phase Phase) run {
		return run{c, q, func(a *Attempt, waiting func()) error {
			defer a.Close()
			if err := a.Send(c, q); err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, onlyReader{a}, int64(skip)); err != nil {
				return err
			}
			a.Await(phase)
			waiting()
			_, err := a.Read(make([]byte, 100))
			return err
		}, nil}
	}
	// then says what it is given, that it was asked, and when the gateway left.
	then := func(s string) (serve func(*peer), asked <-chan bool, left <-chan time.Time) {
		a, l := make(chan bool, 10), make(chan time.Time, 1)
		return func(p *peer) {
			if _, okay := p.request(); okay {
				p.say(s)
				a <- true
				p.left()
			}
			l <- time.Now()
		}, a, l
	}
	reached := make(chan bool, 10)
	silent := func(p *peer) {
		p.in.ReadByte()
		reached <- true
		p.left()
	}

	looked := make(chan bool, 1)
	lost := provide(t, (*peer).left).client(func(s *Settings) { s.APIBase = "http://name.example/v1" })
	lost.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case looked <- true:
		default: // both kinds of address are looked up
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	f("name lookup", Connect, false, send(lost, post("{}"), looked), nil)

	hole := provide(t, (*peer).left).client(func(s *Settings) { s.APIBase = "http://" + blackHole(t) })
	f("connect", Connect, false, send(hole, post("{}"), nil), nil)

	shake := provide(t, silent).client(trusting(nil))
	f("TLS handshake", Connect, false, send(shake, post("{}"), reached), nil)

	stuck := make(chan time.Time, 1)
	deaf := provide(t, func(p *peer) {
		p.in.ReadString('\n')
		reached <- true
		time.Sleep(25 * time.Millisecond) // reads nothing meanwhile
		p.left()
		stuck <- time.Now()
	}).client()
	f("write", Write, true, send(deaf, post(strings.Repeat("x", 64<<20)), reached), stuck)

	for _, secure := range []bool{false, true} {
		start := func(serve func(*peer)) *Client {
			if !secure {
				return provide(t, serve).client()
			}
			p, roots := provideTLS(t, nil, serve)
			return p.client(trusting(roots))
		}
		name := map[bool]string{true: " over TLS"}[secure]
		serve, asked, left := then("")
		f("first byte"+name, FirstByte, true, send(start(serve), post("{}"), asked), left)
		serve, asked, left = then("HTTP/1.1 200 OK\r\nContent-")
		f("half a head"+name, FirstByte, true, send(start(serve), post("{}"), asked), left)
		serve, _, left = then(okHead + "Transfer-Encoding: chunked\r\n\r\n")
		f("first event"+name, FirstEvent, true, reading(start(serve), stream("{}"), 0, FirstEvent), left)
		serve, _, left = then(okHead + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		f("event"+name, Event, true, reading(start(serve), stream("{}"), 5, Event), left)
		serve, _, left = then(okHead + "Content-Length: 100\r\n\r\nhello")
		f("body"+name, Body, true, reading(start(serve), post("{}"), 5, Body), left)
		serve, _, left = then(okHead + "Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n" + gzipFlushed("hello"))
		f("gzip"+name, Body, true, reading(start(serve), post("{}"), 5, Body), left)
	}
}

// blackHole is an address whose connects are neither taken nor refused: the
// queue of a listener that accepts nothing is full.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the listener's queue does not fill up here")
	return ""
}

// A cancel that comes before Send, between two of them or after the last is
// kept until Reset, and touches nothing.
func TestCancelWithoutALine(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	var a Attempt
	a.Cancel(Shutdown)
	if e := asError(t, a.Send(c, post("{}"))); !e.Cancelled || e.Reason != Shutdown || e.Sent {
		t.Errorf("got %#v", e)
	}
	a.Close()
	a.Reset()
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Fatal(err)
	}
	a.Cancel(ClientGone)
	if s := c.Stats(); s.Idle != 1 || s.Dials != 1 {
		t.Errorf("got %+v, want the connection idle", s)
	}
	if e := asError(t, a.Send(c, post("{}"))); !e.Cancelled || e.Reason != ClientGone || e.Sent {
		t.Errorf("got %#v", e)
	}
	a.Close()
	if s := c.Stats(); s.Idle != 1 || s.Dials != 1 || s.Inflight != 0 {
		t.Errorf("got %+v, want the connection idle", s)
	}
	a.Reset()
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Fatal(err)
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

// A cancel in the last moment of an attempt never ends the connection under
// the next one: every answer that is not cancelled is whole and is its own.
func TestCancelAgainstClose(t *testing.T) {
	f := func(name string, p *provider, c *Client, workers, rounds int) {
		t.Helper()
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				var a Attempt
				for r := range rounds {
					body := fmt.Sprintf(`{"worker":%d,"round":%d}`, w, r)
					if mistake := raceCancel(&a, c, body); mistake != "" {
						t.Errorf("%s: %s", name, mistake)
						return
					}
				}
			})
		}
		all.Wait()
		s := c.Stats()
		if s.Repeats != 0 || s.Stale != 0 || s.Inflight != 0 || s.Reuses == 0 {
			t.Errorf("%s: got %+v: connections in the pool were ended", name, s)
		}
		p.stop()
	}
	plain := provide(t, echoes)
	f("plain", plain, plain.client(), 200, 50)
	secure, roots := provideTLS(t, nil, echoes)
	f("TLS", secure, secure.client(trusting(roots)), 40, 20)
}

// The same in the very moment of Close, over and over: what a cancel and the
// owner do to the line there is a handful of instructions apart.
func TestCancelInTheMomentOfClose(t *testing.T) {
	p := provide(t, echoes)
	c := p.client()
	var a Attempt
	var closing, done atomic.Int64
	const rounds = 5000
	go func() {
		for round := int64(1); round <= rounds; round++ {
			for closing.Load() < round {
				runtime.Gosched()
			}
			for range rand.N(400) {
				closing.Load() // burns a little time
			}
			a.Cancel(ClientGone)
			done.Store(round)
		}
	}()
	for round := int64(1); round <= rounds; round++ {
		a.Reset()
		if err := a.Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
		if body, err := read(&a); err != nil || body != "{}" {
			t.Fatalf("got %q %v", body, err)
		}
		closing.Store(round)
		for range rand.N(100) {
			closing.Load()
		}
		a.Close()
		for done.Load() < round {
			runtime.Gosched()
		}
	}
	if s := c.Stats(); s.Stale != 0 || s.Repeats != 0 {
		t.Errorf("got %+v: connections in the pool were ended", s)
	} else if s.Dials == 1 {
		t.Skip("no cancel was in time")
	}
}

// echoes answers with what it was sent, in either framing.
func echoes(p *peer) {
	for {
		q, okay := p.request()
		if !okay {
			return
		}
		if len(q.body)%2 == 0 {
			p.say(fmt.Sprintf(okHead+"Content-Length: %d\r\n\r\n%s", len(q.body), q.body))
		} else {
			p.say(fmt.Sprintf(okHead+"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(q.body), q.body))
		}
	}
}

// raceCancel makes one exchange while somebody cancels it: before it, during
// it, or as near to its end as can be.
func raceCancel(a *Attempt, c *Client, body string) (mistake string) {
	a.Reset()
	ending, cancelled := make(chan bool), make(chan bool)
	early := rand.N(3) == 0
	go func() {
		if early {
			for range rand.N(100) {
				runtime.Gosched()
			}
		} else {
			<-ending
		}
		a.Cancel(ClientGone)
		close(cancelled)
	}()
	var got string
	err := a.Send(c, post(body))
	if err == nil {
		got, err = read(a)
	}
	close(ending)
	a.Close()
	<-cancelled
	switch e, isError := err.(*Error); {
	case err == nil && got != body:
		return fmt.Sprintf("got the answer %q to %q", got, body)
	case err != nil && (!isError || !e.Cancelled):
		return fmt.Sprintf("%s: %v", body, err)
	}
	return ""
}
