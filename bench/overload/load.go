package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/bench/testbed"
)

// load sends requests to the gateway and takes its answers.
//
// A connection carries one request at a time. Each has a goroutine that reads
// its answers; whoever takes it out of idle may send on it. An answer that is
// neither good nor a proper refusal ends everything: fail keeps the first.
type load struct {
	o       options
	server  *testbed.Server
	request []byte

	mu   sync.Mutex
	idle []*caller // the last one used is taken first
	open []*caller

	waited  atomic.Int64 // requests that wait for their answer
	closing atomic.Bool
	failed  chan error // has room for the first
}

// caller is a connection.
type caller struct {
	l     *load
	conn  net.Conn
	asked atomic.Pointer[asked] // what is answered next
}

// asked is a request on its way.
type asked struct {
	due  time.Time // when it should have been sent: what waits for its sending waits too
	into *step
}

func newLoad(server *testbed.Server, o options) *load {
	return &load{o: o, server: server, request: server.ChatRequest(false, o.request), failed: make(chan error, 1)}
}

// close ends all connections.
func (l *load) close() {
	l.closing.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.conn.Close()
	}
}

func (l *load) fail(err error) {
	if l.closing.Load() {
		return
	}
	select {
	case l.failed <- err:
	default:
	}
}

// err returns what ends the measurement, if something does.
func (l *load) err(ctx context.Context) error {
	select {
	case err := <-l.failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
		return nil
	}
}

// take returns a connection without a request; nil when there are too many.
func (l *load) take() (*caller, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.idle); n > 0 {
		c := l.idle[n-1]
		l.idle = l.idle[:n-1]
		return c, nil
	}
	if len(l.open) == l.o.connections {
		return nil, nil
	}
	conn, err := net.Dial("tcp", l.server.Addr)
	if err != nil {
		return nil, err
	}
	c := &caller{l: l, conn: conn}
	l.open = append(l.open, c)
	go c.read()
	return c, nil
}

func (l *load) give(c *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, c)
}

// send sends a request that is due.
func (l *load) send(due time.Time, into *step) error {
	c, err := l.take()
	if err != nil {
		return err
	}
	into.sent(due, time.Now(), c != nil)
	if c == nil {
		return nil
	}
	l.waited.Add(1)
	c.asked.Store(&asked{due, into})
	_, err = c.conn.Write(l.request)
	return err
}

// read takes the answers to what is sent on the connection.
func (c *caller) read() {
	var resp fasthttp.Response
	in := bufio.NewReaderSize(c.conn, 4<<10)
	for {
		if err := resp.ReadLimitBody(in, 0); err != nil {
			c.l.fail(fmt.Errorf("no answer: %w", err))
			return
		}
		good, err := c.l.check(&resp)
		if err != nil {
			c.l.fail(err)
			return
		}
		a := c.asked.Load()
		c.l.waited.Add(-1)
		again := a.into.answered(good, a.due, time.Now())
		if !again {
			c.l.give(c)
			continue
		}
		c.l.waited.Add(1)
		c.asked.Store(&asked{time.Now(), a.into})
		if _, err := c.conn.Write(c.l.request); err != nil {
			c.l.fail(err)
			return
		}
	}
}

// check reports whether an answer is good; else it must be a refusal that says
// when to come back.
func (l *load) check(resp *fasthttp.Response) (good bool, err error) {
	body := resp.Body()
	switch resp.StatusCode() {
	case 200:
		if len(body) != l.o.answer || !bytes.HasSuffix(body, []byte("}}")) {
			return false, fmt.Errorf("%d bytes of answer; want %d: %.200s", len(body), l.o.answer, body)
		}
		return true, nil
	case 503:
		if len(resp.Header.Peek(fasthttp.HeaderRetryAfter)) == 0 || !bytes.Contains(body, []byte(`"overloaded"`)) {
			return false, fmt.Errorf("a refusal of another kind: %.300s", body)
		}
		return false, nil
	}
	return false, fmt.Errorf("status %d: %.200s", resp.StatusCode(), body)
}

// offer sends rate requests a second, at random moments (a Poisson process),
// for so long. It does not wait for the last answers.
func (l *load) offer(ctx context.Context, factor, rate float64, d time.Duration, r *report) (*step, error) {
	s := newStep(false)
	watched := l.watch(s, factor, r)
	defer watched()
	random := rand.New(rand.NewPCG(1, uint64(rate)))
	for at := time.Duration(0); at < d; {
		due := s.began.Add(at)
		if pause := time.Until(due); pause > time.Millisecond/2 {
			time.Sleep(pause)
			if err := l.err(ctx); err != nil {
				return nil, err
			}
		}
		if err := l.send(due, s); err != nil {
			return nil, err
		}
		at += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
	}
	return s, l.err(ctx)
}

// quiet waits for the last answers, and until the gateway has forgotten.
func (l *load) quiet(ctx context.Context) error {
	if err := l.settle(ctx); err != nil {
		return err
	}
	return testbed.Pause(ctx, 3*time.Second)
}

// settle waits for the last answers.
func (l *load) settle(ctx context.Context) error {
	for range 1500 {
		if err := l.err(ctx); err != nil {
			return err
		}
		if l.waited.Load() == 0 {
			return nil
		}
		if err := testbed.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("some requests are not answered within 30 s")
}
