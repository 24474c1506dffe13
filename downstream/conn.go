package downstream

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a client's TCP connection.
//
// One goroutine reads it and one writes it at a time. Close and the deadlines
// may be used by any goroutine.
//
// A write that has waited for the client for WriteTimeout without any progress
// fails and counts as stalled; how long the whole write takes does not matter.
// The clock is set only when a write must wait, so a client that keeps up costs
// no timer.
type Conn struct {
	tcp *net.TCPConn
	raw syscall.RawConn
	ln  *Listener

	// The watching of requests: nil, the running request's, or &departed.
	watch   atomic.Pointer[Watch]
	known   atomic.Bool // registered with watcher
	mu      sync.Mutex  // guards the next three; never held while waiting
	closed  bool
	watcher *Watcher // nil until the first Start
	watchID uint64

	linger atomic.Bool // Close reads on for a while: see LingerOnClose
	rest   rest        // between two requests

	readLimit  readDeadline
	writeLimit writeDeadline

	transferIO // state of the read and the write that are running
}

// Close closes the connection. The watcher forgets it first: the descriptor's
// number may be another connection's as soon as it is closed.
func (c *Conn) Close() error {
	if !c.leave() {
		return net.ErrClosed
	}
	if c.linger.Load() {
		c.drain()
	}
	err := c.tcp.Close()
	c.ln.open.Add(-1)
	c.ln.part(c)
	return err
}

// leave does what is due once, before the socket closes, and reports whether
// this was the first call.
func (c *Conn) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	if c.watcher != nil {
		c.watcher.forget(c.watchID)
	}
	return true
}

// Read reads what has arrived, or waits.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.read(p)
		if err == nil || !c.early(err) {
			return n, err
		}
	}
}

func (c *Conn) LocalAddr() net.Addr  { return c.tcp.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }

const (
	lingerFor   = 5 * time.Second // a refused upload is read on for so long
	lingerPause = time.Second     // and while the client pauses no longer than this
)

// LingerOnClose makes Close of the connection read on for a few seconds after
// the last answer, as long as the client sends. It is for an answer that is
// sent before the request's body has been read: closing with unread bytes
// resets the connection, and the client may lose the answer over it.
func LingerOnClose(conn net.Conn) {
	if c := connOf(conn); c != nil {
		c.linger.Store(true)
	}
}

// drain ends the sending side and discards what the client still sends.
func (c *Conn) drain() {
	if c.tcp.CloseWrite() != nil {
		return
	}
	var scrap [16 << 10]byte
	for until := time.Now().Add(lingerFor); time.Now().Before(until); {
		if c.tcp.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			return
		}
		if _, err := c.tcp.Read(scrap[:]); err != nil {
			return
		}
	}
}
