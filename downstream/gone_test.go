package downstream

import (
	"net"
	"testing"
	"time"
)

type told chan time.Time

func (t told) ClientGone() { t <- time.Now() }

func pair(t testing.TB, o Options) (*Listener, *Conn, *net.TCPConn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(inner, o)
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); conn.Close(); l.Close() })
	return l, conn.(*Conn), client.(*net.TCPConn)
}

func TestSmoke(t *testing.T) {
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, c, client := pair(t, Options{})
	gone := make(told, 1)
	var h Watch
	w.Start(&h, c, gone)
	at := time.Now()
	client.Close()
	t.Log((<-gone).Sub(at))
	h.Stop()
	w.Start(&h, c, gone)
	<-gone
	h.Stop()
}
