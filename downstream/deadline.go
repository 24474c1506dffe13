package downstream

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// readDeadline puts off the setting of the socket's read deadline.
//
// An HTTP server moves the deadline on twice per request, and hardly any ever
// passes. A deadline that is moved on is only noted (which saves the runtime's
// timer, two thirds of the call); the earlier one stays set on the socket, and
// when it passes the reader sets what was noted and reads on.
type readDeadline struct {
	mu     sync.Mutex
	wanted time.Time // zero: none
	set    time.Time // on the socket, never after wanted; zero: none
}

// SetReadDeadline sets the time after which reading fails.
func (c *Conn) SetReadDeadline(t time.Time) error {
	d := &c.readLimit
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if !d.set.IsZero() && (t.IsZero() || !t.Before(d.set)) {
		return nil
	}
	d.set = t
	return c.tcp.SetReadDeadline(t)
}

// early reports whether err is a deadline that passed and is no longer wanted.
// If so, the one that is wanted has been set.
func (c *Conn) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d := &c.readLimit
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !d.wanted.After(time.Now()) {
		return false
	}
	d.set = d.wanted
	return c.tcp.SetReadDeadline(d.wanted) == nil
}

// writeDeadline has two owners: the rule that a write must make progress, and
// whoever sets one from outside.
type writeDeadline struct {
	mu      sync.Mutex
	foreign bool // one was set from outside, and rules
	stalled bool // the rule, or the kernel's own like it, has ended the connection
}

// SetWriteDeadline sets an absolute end to all writes, in place of the rule
// that a write must make progress; the zero time restores that rule.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeLimit.mu.Lock()
	defer c.writeLimit.mu.Unlock()
	c.writeLimit.foreign = !t.IsZero()
	return c.tcp.SetWriteDeadline(t)
}

// expectProgress gives the client until t to take something of what is being
// written; the zero time takes the limit away.
func (c *Conn) expectProgress(t time.Time) {
	c.writeLimit.mu.Lock()
	defer c.writeLimit.mu.Unlock()
	if !c.writeLimit.foreign {
		c.tcp.SetWriteDeadline(t) // fails on a closed connection only
	}
}

// noteStall counts a client that did not take what was written in time, once.
func (c *Conn) noteStall(err error) {
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	if !timeout && !errors.Is(err, syscall.ETIMEDOUT) {
		return
	}
	d := &c.writeLimit
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled || timeout && d.foreign {
		return
	}
	d.stalled = true
	c.ln.stalled.Add(1)
}

// SetDeadline sets both.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}
