package upstream

import (
	"net"
	"time"
)

// errWouldBlock is Read's answer in nowait mode when nothing is there.
var errWouldBlock error = wouldBlock{}

// wouldBlock is temporary, so that crypto/tls can go on after it.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// expired reports whether a deadline is over.
func expired(by int64) bool { return lateAt(clock(), by) }

// lateAt reports whether a deadline was over at an instant.
func lateAt(now, by int64) bool { return by != 0 && now >= by }

// armRead tells the poller of readBy, unless it has an earlier deadline still
// to come: that one fires in vain at worst, and wait sets the true one then. So
// does one that has fired since the clock was read.
// So a stream of short gaps moves its timer once per idle limit, not per read.
func (s *socket) armRead() error {
	if armed(s.readArmed, s.readBy, s.now) {
		return nil
	}
	return s.rearmRead()
}

func (s *socket) rearmRead() error {
	s.readArmed = s.readBy
	return s.tcp.SetReadDeadline(at(s.readBy))
}

// armWrite does the same for writeBy.
func (s *socket) armWrite() error {
	if armed(s.writeArmed, s.writeBy, s.now) {
		return nil
	}
	return s.rearmWrite()
}

func (s *socket) rearmWrite() error {
	s.writeArmed = s.writeBy
	return s.tcp.SetWriteDeadline(at(s.writeBy))
}

// armed reports whether a poller that was told of set will wake in time for by.
func armed(set, by, now int64) bool {
	if set == 0 {
		return by == 0
	}
	return (by == 0 || set <= by) && set > now
}

// kill resets the connection: both sides' reads and writes end now, and what
// the kernel had not sent yet is not sent any more.
func (s *socket) kill() {
	s.tcp.SetLinger(0)
	s.tcp.Close()
}

// The rest makes socket a net.Conn for crypto/tls, which sets no deadlines in
// the calls that are made here.

// Close implements net.Conn.
func (s *socket) Close() error { return s.tcp.Close() }

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.tcp.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.tcp.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error { return s.tcp.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error { return s.tcp.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.tcp.SetWriteDeadline(t) }
