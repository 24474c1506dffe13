package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
)

// line is one connection to the provider, from before it is dialed.
//
// It belongs to one attempt, to the pool, or to a lingering goroutine; only
// the owner touches its fields. abort is for others, and only those that have
// just taken the line out of its attempt's slot may call it.
type line struct {
	hangup context.CancelFunc // ends the dial; set before anybody else sees the line
	sock   atomic.Pointer[socket]
	conn   net.Conn  // what is read and written: the socket, or TLS on it
	tls    *tls.Conn // nil on plain connections

	one [1]byte // what settled reads into

	expires   int64 // not pooled any more after this
	idleSince int64
}

// abort ends whatever the owner does on the line, at once.
func (l *line) abort() {
	if s := l.sock.Load(); s != nil {
		s.kill()
		return
	}
	l.hangup()
}

// close ends a line on which nothing is under way. TLS says no close_notify:
// it could block, and both sides know where the last answer ended.
func (l *line) close() {
	if s := l.sock.Load(); s != nil {
		s.tcp.Close()
	}
}

// drop ends a line on which the provider may still be working: the reset
// tells it so even where it takes a mere FIN for the end of the request.
func (l *line) drop() {
	if s := l.sock.Load(); s != nil {
		s.kill()
	}
}

// alive reports whether the idle line may carry another request: neither
// closed by the provider nor holding bytes that nobody asked for.
func (l *line) alive() bool {
	if l.tls != nil {
		return l.settled()
	}
	return l.sock.Load().quiet()
}

// settled reports whether nothing but TLS's own affairs is waiting on a TLS
// line: session tickets and key updates, which come whenever the provider
// likes, are taken in without waiting for more. Data, also such as TLS has
// decrypted already, an alert or the end mean that no other request may follow.
func (l *line) settled() bool {
	_, err := l.readNow(l.one[:])
	return err == errWouldBlock
}

// read reads what is there, or waits for it until by. now is a reading of the
// clock from just before.
func (l *line) read(p []byte, now, by int64) (int, error) {
	s := l.sock.Load()
	s.now, s.readBy = now, by
	if l.tls != nil {
		s.writeBy = by // TLS answers a key update from within Read
	}
	return l.conn.Read(p)
}

// readNow reads what is there; errWouldBlock if nothing is.
func (l *line) readNow(p []byte) (int, error) {
	s := l.sock.Load()
	s.nowait = true
	n, err := l.read(p, clock(), 0)
	s.nowait = false
	return n, err
}

// write writes the segments; it uses them up. On TLS each is a record of its
// own or several, so that small ones should have been put together before.
func (l *line) write(out [][]byte) error {
	if l.tls == nil {
		return l.sock.Load().writeAll(out)
	}
	for _, b := range out {
		if _, err := l.tls.Write(b); err != nil {
			return err
		}
	}
	return nil
}
