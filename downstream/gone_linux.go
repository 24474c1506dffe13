package downstream

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller is one epoll instance that reports hang-ups of client sockets, and
// nothing else: arriving data does not wake it.
//
// Its own descriptor waits in the runtime's poller, so that it costs no thread
// and closing the file ends the wait.
type poller struct {
	file *os.File
	raw  syscall.RawConn
}

func (p *poller) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else os.NewFile does not let the runtime poll it
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	p.file = os.NewFile(uintptr(fd), "epoll")
	if err := p.file.SetReadDeadline(time.Time{}); err != nil { // the runtime cannot wait for it
		p.file.Close()
		return err
	}
	p.raw, err = p.file.SyscallConn()
	return err
}

func (p *poller) close() error { return p.file.Close() }

// add registers c's socket for one event. Level-triggered: a client that has
// gone already is reported at once. The kernel drops the registration when the
// socket closes.
func (p *poller) add(c *Conn, id uint64) error {
	event := unix.EpollEvent{
		Events: unix.EPOLLRDHUP | unix.EPOLLONESHOT, // EPOLLHUP and EPOLLERR need no asking
		Fd:     int32(id),
		Pad:    int32(id >> 32),
	}
	var err error
	control := func(epoll uintptr) {
		// c's descriptor is held open while its own Control runs.
		cerr := c.raw.Control(func(fd uintptr) {
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
		})
		if err == nil {
			err = cerr
		}
	}
	if cerr := p.raw.Control(control); cerr != nil {
		return cerr
	}
	return err
}

// run reports hang-ups to w until close.
func (p *poller) run(w *Watcher) {
	var events [128]unix.EpollEvent
	var n int
	take := func(fd uintptr) bool {
		n, _ = unix.EpollWait(int(fd), events[:], 0)
		return n > 0
	}
	for p.raw.Read(take) == nil {
		for _, e := range events[:n] {
			w.gone(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
	}
}
