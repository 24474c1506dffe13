//go:build !portable

package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// rawMax is how much one raw call moves: a tenth of a millisecond's copying,
// for which this thread's processor is kept from other goroutines and a
// collection from beginning. Each call has the receiver woken and does the rounds of
// the kernel's network code: with 64 KiB, a prompt of 1 MiB cost a fifth more.
const rawMax = 1 << 20

// socket is a TCP connection whose reads and writes are made by the calling
// thread at once, without telling the scheduler: the descriptor never blocks,
// and the bookkeeping around a blocking system call wakes the runtime's
// monitor thread, which at partial load costs more than the call itself.
// Waiting is the runtime poller's work as on any connection.
//
// One goroutine owns it. kill and Close may be called by others.
type socket struct {
	tcp *net.TCPConn
	raw syscall.RawConn

	// Deadlines as instants of clock; 0 is none. readArmed is what the poller
	// was told: it may lie before readBy, then it fires in vain and is moved.
	readBy, writeBy       int64
	readArmed, writeArmed int64
	now                   int64 // the clock, when its owner read it last

	nowait bool  // Read returns errWouldBlock instead of waiting
	pushed int64 // bytes that were given to the kernel so far

	// What the callbacks below work on, during one call.
	p    []byte
	one  [1][]byte
	iov  [8]syscall.Iovec
	todo []syscall.Iovec // what of iov is not written yet
	look bool            // ask has to look first whether the other end is still there
	part bool            // what ask writes is not the whole request
	n    int
	no   syscall.Errno

	// The callbacks, bound once so that a call allocates nothing.
	reading, writing, asking func(fd uintptr) bool
	glancing                 func(fd uintptr)
}

func newSocket(tcp *net.TCPConn) (*socket, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{tcp: tcp, raw: raw}
	s.reading, s.writing, s.asking = s.tryRead, s.tryWrite, s.tryAsk
	s.glancing = func(fd uintptr) { s.tryRead(fd) }
	return s, nil
}

// Read reads what is there, or waits for it until readBy.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.p = p[:min(len(p), rawMax)]
	err := s.wait(s.reading)
	s.p = nil
	return s.came(err)
}

// came is what a wait that ended with err has brought.
func (s *socket) came(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case s.no == syscall.EAGAIN:
		return 0, errWouldBlock
	case s.no != 0:
		return 0, os.NewSyscallError("read", s.no)
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// wait runs try until it says that it is done, or readBy is over.
func (s *socket) wait(try func(fd uintptr) bool) error {
	if err := s.armRead(); err != nil {
		return err
	}
	late := lateAt(s.now, s.readBy)
	for {
		err := s.raw.Read(try)
		switch {
		case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case expired(s.readBy):
			if late || len(s.todo) > 0 || !s.glance() {
				return err
			}
			return nil
		}
		if err := s.rearmRead(); err != nil {
			return err
		}
	}
}

// glance is the last look of a wait that took until readBy: it reports whether
// something was read. A process that stood still meanwhile hears of its timers
// before it hears of what came in time.
func (s *socket) glance() bool {
	return s.raw.Control(s.glancing) == nil && s.no != syscall.EAGAIN
}

func (s *socket) tryRead(fd uintptr) bool {
	for {
		s.n, s.no = sysRead(fd, s.p)
		if s.no != syscall.EINTR {
			return s.no != syscall.EAGAIN || s.nowait
		}
	}
}

// ask writes a request until writeBy and waits for the first bytes of its answer
// until readBy. It reads them into p, which may be where the request stood.
// errSpent of a line that was idle: nothing was written, the provider had
// closed it or said something. n is 0 where the answer was not waited for.
//
// Asking and waiting are one call of the poller's, because of when that forgets
// what it was told before: at the beginning. An answer is none yet when the request
// has just been written, so the look that a plain read begins with would be in
// vain; after a write that the poller was not waiting on, it could not be left
// out, for nobody would be told again of an answer that is there already.
func (s *socket) ask(bufs [][]byte, p []byte, idle bool) (n int, written bool, err error) {
	vectors, rest := s.gather(bufs)
	defer clear(s.iov[:vectors])
	s.todo, s.look, s.part = s.iov[:vectors], idle, len(rest) > 0
	s.p = p[:min(len(p), rawMax)]
	err = s.wait(s.asking)
	s.p = nil
	switch {
	case err == nil && s.look:
		return 0, false, errSpent
	case err == nil && len(s.todo) > 0 && s.no != 0 && s.no != syscall.EAGAIN:
		return 0, false, os.NewSyscallError("write", s.no)
	case err == nil && (len(s.todo) > 0 || s.part):
		if err = s.push(); err == nil {
			err = s.writeAll(rest)
		}
		return 0, err == nil, err
	case len(s.todo) > 0:
		return 0, false, err
	}
	n, err = s.came(err)
	return n, true, err
}

// tryAsk is true when the wait is over, for better or worse.
func (s *socket) tryAsk(fd uintptr) bool {
	if len(s.todo) == 0 {
		return s.tryRead(fd)
	}
	if s.look {
		if s.peek(fd); s.no != syscall.EAGAIN {
			return true
		}
		s.look = false
	}
	s.tryWrite(fd)
	if s.no != 0 {
		return true
	}
	s.pushed += int64(s.n)
	s.wrote(s.n)
	return len(s.todo) > 0 || s.part
}

// Write writes all of p until writeBy.
func (s *socket) Write(p []byte) (int, error) {
	before := s.pushed
	s.one[0] = p
	err := s.writeAll(s.one[:])
	s.one[0] = nil
	return int(s.pushed - before), err
}

// writeAll writes all of bufs until writeBy, in as few calls as may be. It
// uses bufs up.
func (s *socket) writeAll(bufs [][]byte) error {
	for len(bufs) > 0 {
		var n int
		n, bufs = s.gather(bufs)
		s.todo = s.iov[:n]
		err := s.push()
		clear(s.iov[:n])
		if err != nil {
			return err
		}
	}
	return nil
}

// gather moves up to rawMax bytes from the front of bufs into the vectors.
func (s *socket) gather(bufs [][]byte) (vectors int, rest [][]byte) {
	for size := 0; len(bufs) > 0 && vectors < len(s.iov) && size < rawMax; {
		b := bufs[0]
		take := min(len(b), rawMax-size)
		if take > 0 {
			s.iov[vectors].Base = &b[0]
			s.iov[vectors].SetLen(take)
			vectors, size = vectors+1, size+take
		}
		if bufs[0] = b[take:]; take == len(b) {
			bufs = bufs[1:]
		}
	}
	return vectors, bufs
}

// push writes todo.
func (s *socket) push() error {
	if err := s.armWrite(); err != nil {
		return err
	}
	for len(s.todo) > 0 {
		err := s.raw.Write(s.writing)
		switch {
		case err == nil && s.no != 0:
			return os.NewSyscallError("write", s.no)
		case err == nil:
			s.pushed += int64(s.n)
			s.wrote(s.n)
		case errors.Is(err, os.ErrDeadlineExceeded) && !expired(s.writeBy):
			if err := s.rearmWrite(); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

func (s *socket) tryWrite(fd uintptr) bool {
	for {
		s.n, s.no = sysWrite(fd, s.todo)
		if s.no != syscall.EINTR {
			return s.no != syscall.EAGAIN
		}
	}
}

// wrote takes n bytes off the front of todo.
func (s *socket) wrote(n int) {
	for n > 0 {
		v := &s.todo[0]
		if size := int(v.Len); n < size {
			v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
			v.SetLen(size - n)
			return
		}
		n -= int(v.Len)
		s.todo = s.todo[1:]
	}
}

// peek looks without waiting and without taking.
func (s *socket) peek(fd uintptr) {
	var one [1]byte
	for {
		n, _, no := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one[0])), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if no == syscall.EINTR {
			continue
		}
		s.n, s.no = int(n), no
		return
	}
}
