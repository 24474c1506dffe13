package downstream

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options say how a Listener treats its connections.
type Options struct {
	// WriteTimeout is how long a client may take nothing of what is written to
	// it before its connection is cut. 0: for ever.
	WriteTimeout time.Duration

	// Log is told when accepting fails and when it works again. nil: nobody.
	Log *slog.Logger
}

// Stats are the counts of a Listener since it began.
type Stats struct {
	Open         int64 // connections now
	Accepted     int64
	AcceptErrors int64 // each followed by a pause
	Stalled      int64 // connections cut because the client took nothing for WriteTimeout
	BadHandshake int64 // TLS handshakes that failed or took too long
}

// Listener accepts TCP connections as *Conn: with TCP_NODELAY, with keep-alive
// probes that find a vanished client within a minute, and counted.
//
// Accept does not fail while the process is out of descriptors or memory: it
// pauses, longer each time up to a second, and tries again.
type Listener struct {
	net.Listener
	options Options

	open, accepted, acceptErrors, stalled, badHandshake atomic.Int64

	closing  sync.Once
	closed   chan struct{}
	closeErr error // of the one Close that there is

	members // the open connections
}

// NewListener wraps inner. Connections of inner that are not TCP come out as
// they are.
func NewListener(inner net.Listener, o Options) *Listener {
	return &Listener{Listener: inner, options: o, closed: make(chan struct{})}
}

// Stats returns the counts.
func (l *Listener) Stats() Stats {
	return Stats{
		Open:         l.open.Load(),
		Accepted:     l.accepted.Load(),
		AcceptErrors: l.acceptErrors.Load(),
		Stalled:      l.stalled.Load(),
		BadHandshake: l.badHandshake.Load(),
	}
}

// Close stops accepting. Connections stay open. Closing again does nothing.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		close(l.closed)
		l.closeErr = l.Listener.Close()
	})
	return l.closeErr
}

const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// Accept returns the next connection, or an error that lasts.
func (l *Listener) Accept() (net.Conn, error) {
	pause := firstPause
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			if pause > firstPause {
				l.log(slog.LevelInfo, "accepting connections again")
			}
			return l.wrap(conn), nil
		}
		if !passing(err) {
			return nil, err
		}
		l.acceptErrors.Add(1)
		if pause == firstPause {
			l.log(slog.LevelWarn, "cannot accept connections", "error", err)
		}
		if !l.sleep(pause) {
			return nil, net.ErrClosed
		}
		pause = min(2*pause, lastPause)
	}
}

// keepAlive finds a client that vanished without a word within a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

func (l *Listener) wrap(conn net.Conn) net.Conn {
	l.accepted.Add(1)
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	tcp.SetKeepAliveConfig(keepAlive) // no error of these two is worth a connection
	tcp.SetNoDelay(true)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn // never of a TCPConn that was just accepted
	}
	c := &Conn{tcp: tcp, raw: raw, ln: l}
	c.prepare()
	c.rest.since = time.Now()
	l.open.Add(1)
	l.join(c)
	return c
}

// passing reports whether accepting may work again after err.
func passing(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPERM, syscall.EPROTO, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// sleep pauses and reports whether the listener is still open.
func (l *Listener) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) log(level slog.Level, msg string, args ...any) {
	if l.options.Log != nil {
		l.options.Log.Log(context.Background(), level, msg, args...)
	}
}
