package downstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// Whatever is written in whatever pieces arrives, both ways at once.
func TestBytesArrive(t *testing.T) {
	_, c, client := pair(t, Options{WriteTimeout: time.Minute})
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.IntRange(0, 200<<10), 1, 8)
		var wg sync.WaitGroup
		exchange := func(name string, from io.Writer, to io.Reader) {
			sizes := pieces.Draw(t, name)
			wg.Go(func() {
				for i, n := range sizes {
					if m, err := from.Write(bytes.Repeat([]byte{byte(i)}, n)); m != n || err != nil {
						t.Errorf("%s: wrote %d of %d: %v", name, m, n, err)
					}
				}
			})
			wg.Go(func() {
				for i, n := range sizes {
					got := make([]byte, n)
					if _, err := io.ReadFull(to, got); err != nil || len(bytes.Trim(got, string(rune(i)))) != 0 {
						t.Errorf("%s: piece %d is not what was sent: %v", name, i, err)
					}
				}
			})
		}
		exchange("to client", c, client)
		exchange("from client", client, c)
		wg.Wait()
	})
}

// Errors are what the callers of net.Conn know.
func TestErrors(t *testing.T) {
	f := func(what string, do func(c *Conn, client *net.TCPConn) error, text string, anyOf ...error) {
		t.Helper()
		_, c, client := pair(t, Options{WriteTimeout: time.Minute})
		err := do(c, client)
		is := func(want error) bool { return errors.Is(err, want) }
		if !slices.ContainsFunc(anyOf, is) || !strings.Contains(err.Error(), text) {
			t.Fatalf("%s: %v; want %v", what, err, anyOf)
		}
	}
	read := func(c *Conn) error {
		n, err := c.Read(make([]byte, 10))
		if n != 0 {
			t.Fatalf("read %d bytes with %v", n, err)
		}
		return err
	}
	write := func(c *Conn) error {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	}

	f("end", func(c *Conn, client *net.TCPConn) error { client.Close(); return read(c) }, "EOF", io.EOF)
	f("reset", func(c *Conn, client *net.TCPConn) error {
		client.SetLinger(0)
		client.Close()
		return read(c)
	}, "read tcp 127.0.0.1:", syscall.ECONNRESET)
	f("write after reset", func(c *Conn, client *net.TCPConn) error {
		client.SetLinger(0)
		client.Close()
		return write(c)
	}, "write tcp 127.0.0.1:", syscall.EPIPE, syscall.ECONNRESET)
	f("read deadline", func(c *Conn, _ *net.TCPConn) error {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		return read(c)
	}, "i/o timeout", os.ErrDeadlineExceeded)
	f("write deadline", func(c *Conn, _ *net.TCPConn) error {
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // not before the buffers are full
		return write(c)
	}, "i/o timeout", os.ErrDeadlineExceeded)
	f("both deadlines", func(c *Conn, _ *net.TCPConn) error {
		c.SetDeadline(time.Now().Add(-time.Second))
		return read(c)
	}, "i/o timeout", os.ErrDeadlineExceeded)
	f("read closed", func(c *Conn, _ *net.TCPConn) error { c.Close(); return read(c) }, "use of closed", net.ErrClosed)
	f("write closed", func(c *Conn, _ *net.TCPConn) error { c.Close(); return write(c) }, "use of closed", net.ErrClosed)
	f("close twice", func(c *Conn, _ *net.TCPConn) error { c.Close(); return c.Close() }, "use of closed", net.ErrClosed)
	f("closed while reading", func(c *Conn, _ *net.TCPConn) error {
		go c.Close()
		return read(c)
	}, "use of closed", net.ErrClosed)
	f("closed while writing", func(c *Conn, _ *net.TCPConn) error {
		go c.Close()
		return write(c)
	}, "use of closed", net.ErrClosed)
}

// A client that stops reading is cut after WriteTimeout, counted, and what
// the server was sending to it ends.
func TestSlowReaderIsCut(t *testing.T) {
	const limit = 300 * time.Millisecond
	f := func(secure bool) {
		t.Helper()
		ended := make(chan error, 1)
		r := newRig(t, Options{WriteTimeout: limit}, secure, func(_ *rig, ctx *fasthttp.RequestCtx) {
			ctx.Response.SetBodyStream(&flood{ended: ended}, -1)
		})
		began := time.Now()
		r.dial(t).get("/")
		err := within(t, "the end of the stream", ended)
		if took := time.Since(began); took < limit || !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ETIMEDOUT) {
			t.Fatalf("after %v: %v", took, err)
		}
		if n := r.Stats().Stalled; n != 1 {
			t.Fatalf("%d stalled connections counted", n)
		}
	}
	f(false)
	f(true)
}

// A deadline set from outside is no stall, and a stall counts once.
func TestStallsCountOnce(t *testing.T) {
	f := func(what string, deadline time.Duration, want int64) {
		t.Helper()
		l, c, _ := pair(t, Options{WriteTimeout: 100 * time.Millisecond})
		if deadline > 0 {
			must(t, c.SetWriteDeadline(time.Now().Add(deadline)))
		}
		for failed := 0; failed < 3; {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				failed++
			}
		}
		if got := l.Stats().Stalled; got != want {
			t.Fatalf("%s: %d stalls counted; want %d", what, got, want)
		}
	}
	f("the rule", 0, 1)
	f("from outside", 50*time.Millisecond, 0)
}

// flood is a stream without end.
type flood struct{ ended chan error }

func (*flood) SupportsBodyWriteTo() bool { return true }

func (*flood) Read([]byte) (int, error) { panic("BUG: WriteTo is for that") }

func (x *flood) WriteTo(w io.Writer) (n int64, err error) {
	for piece := make([]byte, 64<<10); ; {
		m, err := w.Write(piece)
		n += int64(m)
		if err != nil {
			x.ended <- err
			return n, err
		}
	}
}

// A client that reads on, however slowly, is not cut: one write may take many
// times WriteTimeout.
func TestSlowButReading(t *testing.T) {
	const limit = 400 * time.Millisecond
	l, c, client := pair(t, Options{WriteTimeout: limit})
	client.SetReadBuffer(64 << 10)
	began := time.Now()
	const size = 32 << 20
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		written <- err
	}()
	pace := time.NewTicker(limit / 8)
	defer pace.Stop()
	for left := int64(size); left > 0; {
		if time.Since(began) < 3*limit {
			<-pace.C
		}
		n, err := io.CopyN(io.Discard, client, min(left, 256<<10))
		must(t, err)
		left -= n
	}
	must(t, within(t, "the end of the write", written))
	if took := time.Since(began); took < 2*limit {
		t.Fatalf("took only %v: proves nothing", took)
	}
	// The limit is off again: a pause between writes is not a stall.
	<-time.After(limit + limit/4)
	_, err := c.Write([]byte("on"))
	must(t, err)
	if n := l.Stats().Stalled; n != 0 {
		t.Fatalf("%d stalled connections counted", n)
	}
}

// A refused upload: the answer goes out before the body has been read, and the
// client gets it although it is still sending.
func TestAnswerBeforeBodyArrives(t *testing.T) {
	f := func(secure bool) {
		t.Helper()
		r := newRig(t, Options{}, secure, func(_ *rig, ctx *fasthttp.RequestCtx) {
			LingerOnClose(ctx.Conn())
			ctx.Error("too large", 413)
			ctx.SetConnectionClose()
		})
		for range 20 {
			c := r.dial(t)
			_, err := io.WriteString(c.conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n")
			must(t, err)
			_, err = c.conn.Write(make([]byte, 8<<20))
			must(t, err)
			if got := c.answer(); got != "413 too large" {
				t.Fatal(got)
			}
			c.tcp.Close()
		}
	}
	f(false)
	f(true)
}
