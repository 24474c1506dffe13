package downstream

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSocketOptions(t *testing.T) {
	_, c, _ := pair(t, Options{WriteTimeout: 7 * time.Second})
	f := func(name string, level, option, want int) {
		t.Helper()
		var got int
		var err error
		c.raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), level, option) })
		if err != nil || got != want {
			t.Fatalf("%s is %d (%v); want %d", name, got, err, want)
		}
	}
	f("TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	f("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	f("TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30)
	f("TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 7000)
}
