//go:build !race

package downstream

import (
	"io"
	"testing"
	"time"
)

// A request costs no memory here: not its watching, and not its bytes.
func TestNoAllocations(t *testing.T) {
	w := newWatcher(t)
	_, c, client := pair(t, Options{WriteTimeout: time.Minute})
	h, who := new(Watch), Client(nobody{})
	f := func(what string, do func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, do); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	f("watch", func() {
		w.Start(h, c, who)
		h.Stop()
	})
	buf := make([]byte, 1024)
	f("write and read", func() {
		client.Write(buf)
		io.ReadFull(c, buf)
		c.Write(buf)
		io.ReadFull(client, buf)
	})
}
