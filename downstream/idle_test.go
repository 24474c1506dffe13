package downstream

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestCloseIdle: only who has been idle for long enough, and has sent nothing,
// is ended; a request that came first survives.
func TestCloseIdle(t *testing.T) {
	later := func() time.Time { return time.Now().Add(time.Hour) }
	f := func(name string, prepare func(c *Conn, client net.Conn), before time.Time, want error) {
		t.Helper()
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln := NewListener(inner, Options{})
		defer ln.Close()
		client, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := conn.(*Conn)
		prepare(c, client)
		if open := ln.CloseIdle(before); open != 1 {
			t.Errorf("%s: %d open, want 1", name, open)
		}
		MarkBusy(c) // a request whose first byte was read a moment before
		if want == nil {
			_, _ = io.WriteString(client, "x")
		}
		var one [1]byte
		if _, err := c.Read(one[:]); !errors.Is(err, want) {
			t.Errorf("%s: read: %v, want %v", name, err, want)
		}
		c.Close()
		if open := ln.CloseIdle(later()); open != 0 {
			t.Errorf("%s: %d open after the end", name, open)
		}
	}
	served := func(c *Conn, _ net.Conn) { MarkBusy(c); MarkIdle(c) }

	f("a new one", func(*Conn, net.Conn) {}, later(), net.ErrClosed)
	f("a new one, in its turn", func(*Conn, net.Conn) {}, time.Now().Add(-time.Hour), nil)
	f("busy", func(c *Conn, _ net.Conn) { MarkBusy(c) }, later(), nil)
	f("idle, and then a request", served, later(), nil)
	f("idle, in its turn", served, time.Now().Add(-time.Hour), nil)
	f("with input", func(c *Conn, client net.Conn) {
		served(c, client)
		_, _ = io.WriteString(client, "x")
		for !c.hasInput() {
			if _, err := c.tcp.Write(nil); err != nil {
				t.Fatal(err)
			}
		}
	}, later(), nil)
}

// TestCloseIdleEndsTheWait of who reads, as a read timeout.
func TestCloseIdleEndsTheWait(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := NewListener(inner, Options{})
	defer ln.Close()
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	MarkBusy(conn)
	MarkIdle(conn)
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	ln.CloseIdle(time.Now().Add(time.Hour))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading ended with %v", err)
	}
}
