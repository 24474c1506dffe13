//go:build unix && !linux

package downstream

import (
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how late a leaving client is noticed where there is no epoll.
const pollEvery = 25 * time.Millisecond

// poller looks at every connection with a request on it, one after another, by
// peeking. It is for a developer's machine: its cost grows with the number of
// connections, and bytes that a client sent ahead hide that it has gone.
type poller struct {
	stop chan struct{}
	once sync.Once
}

func (p *poller) open() error {
	p.stop = make(chan struct{})
	return nil
}

func (p *poller) close() error {
	p.once.Do(func() { close(p.stop) })
	return nil
}

func (p *poller) add(*Conn, uint64) error {
	select {
	case <-p.stop:
		return net.ErrClosed
	default:
		return nil
	}
}

// run reports hang-ups to w until close.
func (p *poller) run(w *Watcher) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var left []uint64
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		left = left[:0]
		w.mu.Lock()
		for id, c := range w.conns {
			if h := c.watch.Load(); h != nil && h != &departed && hungUp(c) {
				left = append(left, id)
			}
		}
		w.mu.Unlock()
		for _, id := range left {
			w.gone(id)
		}
	}
}

// hungUp reports whether the next thing to read is the end of the connection.
func hungUp(c *Conn) bool {
	var n int
	var err error
	var b [1]byte
	if c.raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	}) != nil {
		return false // closed on this side
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return false
	}
	return err != nil || n == 0
}
