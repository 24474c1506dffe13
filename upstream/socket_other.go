//go:build !linux || portable

package upstream

import (
	"errors"
	"net"
	"os"
	"time"
)

// glance is how long a look at an idle socket may take where the system has
// no portable way to look without waiting.
const glance = 100 * time.Microsecond

// socket is the portable twin of the one in socket_linux.go. The tag portable
// has it take that one's place, so that the tests can be run on it.
type socket struct {
	tcp *net.TCPConn

	readBy, writeBy       int64
	readArmed, writeArmed int64
	now                   int64

	nowait bool
	pushed int64
}

func newSocket(tcp *net.TCPConn) (*socket, error) { return &socket{tcp: tcp}, nil }

// Read reads what is there, or waits for it until readBy.
func (s *socket) Read(p []byte) (int, error) {
	if s.nowait {
		return s.look(p)
	}
	if err := s.armRead(); err != nil {
		return 0, err
	}
	late := lateAt(s.now, s.readBy)
	for {
		n, err := s.tcp.Read(p)
		switch {
		case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case expired(s.readBy) && !late:
			// The last look of a wait that took until readBy: see socket_linux.go.
			if n, err := s.look(p); err != errWouldBlock {
				return n, err
			}
			return 0, os.ErrDeadlineExceeded
		case expired(s.readBy):
			return n, err
		}
		if err := s.rearmRead(); err != nil {
			return 0, err
		}
	}
}

func (s *socket) look(p []byte) (int, error) {
	s.readArmed = clock() + int64(glance)
	if err := s.tcp.SetReadDeadline(at(s.readArmed)); err != nil {
		return 0, err
	}
	n, err := s.tcp.Read(p)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, errWouldBlock
	}
	return n, err
}

// Write writes all of p until writeBy.
func (s *socket) Write(p []byte) (int, error) {
	if err := s.armWrite(); err != nil {
		return 0, err
	}
	for done := 0; ; {
		n, err := s.tcp.Write(p[done:])
		done += n
		s.pushed += int64(n)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || expired(s.writeBy) {
			return done, err
		}
		if err := s.rearmWrite(); err != nil {
			return done, err
		}
	}
}

// writeAll writes all of bufs until writeBy.
func (s *socket) writeAll(bufs [][]byte) error {
	for _, b := range bufs {
		if _, err := s.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// ask writes a request until writeBy. It leaves the waiting for the answer to
// Read. errSpent of a line that was idle: nothing was written, the provider had
// closed it or said something.
func (s *socket) ask(bufs [][]byte, _ []byte, idle bool) (n int, written bool, err error) {
	if idle && !s.quiet() {
		return 0, false, errSpent
	}
	err = s.writeAll(bufs)
	return 0, err == nil, err
}

// quiet reports whether the idle socket is open and nothing waits on it. It
// may take a byte: then the answer is no, and the line is not used again.
func (s *socket) quiet() bool {
	var one [1]byte
	s.nowait = true
	_, err := s.Read(one[:])
	s.nowait = false
	return err == errWouldBlock
}
