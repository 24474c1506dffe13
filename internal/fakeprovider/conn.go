package fakeprovider

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one accepted connection. Its serve goroutine owns it; while an
// answer goes out a second goroutine owns the reading side, to see the peer
// leave, and serve waits for that one before it reads again.
type conn struct {
	p      *Provider
	id     int64
	tcp    net.Conn
	nc     net.Conn // tcp, or TLS over it
	br     *bufio.Reader
	served int

	ours   atomic.Bool // this side closed it, so that an error says nothing of the peer
	once   sync.Once
	gone   chan struct{} // closed when the peer closed it
	goneAt time.Time     // written before gone is closed
	over   chan struct{} // closed when this side closes it
	ending sync.Once
}

func newConn(p *Provider, id int64, tcp net.Conn) *conn {
	c := &conn{p: p, id: id, tcp: tcp, nc: tcp, gone: make(chan struct{}), over: make(chan struct{})}
	if p.tls != nil {
		c.nc = tls.Server(tcp, p.tls)
	}
	c.br = bufio.NewReaderSize(c.nc, 64<<10)
	return c
}

// serve answers requests until one side ends the connection.
func (c *conn) serve() {
	defer c.p.untrack(c)
	defer c.close()
	if c.p.opts.StallHandshake {
		c.waitForLeave()
		return
	}
	for {
		r, err := readRequest(c.br, c.sayContinue)
		if err != nil {
			c.refuse(err)
			return
		}
		c.served++
		r.Conn, r.OnConn, r.Gone, r.provider, r.conn = c.id, c.served, c.gone, c.p, c
		c.p.record(r)
		if !c.exchange(r) {
			return
		}
	}
}

// exchange answers one request and reports whether another may follow.
func (c *conn) exchange(r *Request) bool {
	peeked := make(chan struct{})
	go func() {
		defer close(peeked)
		if _, err := c.br.Peek(1); err != nil {
			c.left()
		}
	}()
	a := c.p.choose(r)
	again := c.send(r, &a)
	close(r.Done)
	if !again {
		c.close() // the peek ends with it
	}
	<-peeked
	return again && !c.isGone()
}

// refuse deals with a request that could not be read: the peer left between
// requests or within one, or it spoke bad HTTP.
func (c *conn) refuse(err error) {
	if errors.Is(err, errFault) {
		c.p.fault(err.Error())
		c.write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		return
	}
	c.left()
}

// left notes that the peer has closed the connection.
func (c *conn) left() {
	if c.ours.Load() {
		return
	}
	c.once.Do(func() {
		c.goneAt = time.Now()
		close(c.gone)
	})
}

func (c *conn) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// close ends the connection from this side.
func (c *conn) close() {
	c.ours.Store(true)
	c.ending.Do(func() { close(c.over) })
	c.nc.Close()
}

// reset ends it with RST instead of FIN.
func (c *conn) reset() {
	c.ours.Store(true)
	if tcp, ok := c.tcp.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.ending.Do(func() { close(c.over) })
	c.tcp.Close()
}

// finish sends FIN and lets the peer read what is on its way: closing at once
// while the peer still sends would turn the FIN into an RST. A clean end says
// goodbye in TLS's way first; a process that dies does not.
func (c *conn) finish(clean bool) {
	if tc, ok := c.nc.(*tls.Conn); ok && clean {
		_ = tc.CloseWrite()
	}
	if tcp, ok := c.tcp.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	c.sleep(time.Second)
}

// waitForLeave reads and forgets until either side ends the connection.
func (c *conn) waitForLeave() {
	buf := make([]byte, 1024)
	for {
		if _, err := c.tcp.Read(buf); err != nil {
			c.left()
			return
		}
	}
}

// sleep waits and reports whether the connection is still worth answering on.
func (c *conn) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return !c.isGone()
	case <-c.gone:
		return false
	case <-c.over:
		return false
	}
}

// receive waits for a test's permission, which a nil channel always gives.
func (c *conn) receive(permission <-chan struct{}) bool {
	if permission == nil {
		return true
	}
	select {
	case <-permission:
		return true
	case <-c.gone:
		return false
	case <-c.over:
		return false
	}
}

func (c *conn) sayContinue() { c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")) }

// write reports whether p went out. A write that fails is how a peer's leaving
// shows first, when it left in the middle of an answer.
func (c *conn) write(p []byte) bool {
	_, err := c.nc.Write(p)
	if err != nil {
		c.left()
	}
	return err == nil
}
