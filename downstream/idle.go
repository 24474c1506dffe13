package downstream

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// rest says whether a connection is between two requests. The HTTP server
// tells, by MarkIdle and MarkBusy; a connection begins idle.
type rest struct {
	mu     sync.Mutex // guards the rest; held while the connection is told to end
	busy   bool
	served bool      // a request has come
	since  time.Time // idle since
	ending bool      // told to end
}

// members are a Listener's open connections. The zero value has none.
type members struct {
	mu  sync.Mutex // guards all
	all map[*Conn]struct{}
}

func (m *members) join(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[*Conn]struct{})
	}
	m.all[c] = struct{}{}
}

func (m *members) part(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, c)
}

// MarkBusy notes that a request's first byte has come on the connection.
func MarkBusy(conn net.Conn) {
	c := connOf(conn)
	if c == nil {
		return
	}
	r := &c.rest
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.served = true, true
	if r.ending { // the request came first: what was meant to end the waiting must not cut it
		r.ending = false
		c.SetReadDeadline(time.Time{}) // fails on a closed connection only
	}
}

// Silent reports whether no request has ever begun on the connection.
func Silent(conn net.Conn) bool {
	c := connOf(conn)
	if c == nil {
		return false
	}
	c.rest.mu.Lock()
	defer c.rest.mu.Unlock()
	return !c.rest.served
}

// MarkIdle notes that the answer is out and the connection waits for another request.
func MarkIdle(conn net.Conn) {
	c := connOf(conn)
	if c == nil {
		return
	}
	c.rest.mu.Lock()
	defer c.rest.mu.Unlock()
	c.rest.busy, c.rest.since = false, time.Now()
}

// CloseIdle ends the connections that have been idle since before a moment,
// and returns how many are open, those that are about to end among them.
//
// It does so by ending the wait of whoever reads, so that a request whose
// first byte has been read is never cut; one whose bytes have arrived is waited
// for. What is still on its way to here is lost: HTTP/1.1 knows no remedy but
// to have said "connection: close" before.
func (l *Listener) CloseIdle(before time.Time) (open int) {
	for _, c := range l.members.list() {
		c.endIfIdle(before)
		open++
	}
	return open
}

// list copies the members: ending one takes its lock, and may remove it.
func (m *members) list() []*Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Conn, 0, len(m.all))
	for c := range m.all {
		all = append(all, c)
	}
	return all
}

func (c *Conn) endIfIdle(before time.Time) {
	r := &c.rest
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.busy || r.ending || !r.since.Before(before) || c.hasInput():
	case r.served:
		r.ending = true
		c.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection only
	default:
		// The HTTP server would answer an end of the wait for the first request.
		c.Close()
	}
}

// hasInput reports whether bytes have arrived that nobody has read.
func (c *Conn) hasInput() bool {
	var n int
	var b [1]byte
	err := c.raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && n > 0
}
