package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
)

// errSpent is what ask says of a pooled line that is not to be asked.
var errSpent = errors.New("closed by the provider, or holds bytes that nobody asked for")

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

// ask writes the segments of a request, and uses them up. It may wait for the
// first bytes of the answer too and read them into p: n of them. idle is said of
// a line that the pool had, which is looked at before: errSpent if it may not
// carry another request, closed by the provider or holding bytes that nobody
// asked for. now is a reading of the clock from just before.
func (l *line) ask(out [][]byte, p []byte, idle bool, now, writeBy, readBy int64) (n int, written bool, err error) {
	s := l.sock.Load()
	if l.tls != nil {
		if idle && !l.settled() {
			return 0, false, errSpent
		}
		s.now, s.writeBy = now, writeBy
		err = l.encrypt(out)
		return 0, err == nil, err
	}
	s.now, s.writeBy, s.readBy = now, writeBy, readBy
	return s.ask(out, p, idle)
}

// encrypt writes the segments. Each is a record of its own or several, so that
// small ones should have been put together before.
func (l *line) encrypt(out [][]byte) error {
	for _, b := range out {
		if _, err := l.tls.Write(b); err != nil {
			return err
		}
	}
	return nil
}
