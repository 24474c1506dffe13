package downstream

import "testing"

type nobody struct{}

func (nobody) ClientGone() {}

// BenchmarkWatch is what a request costs whose client stays. After all of them
// the client leaves, and is missed.
func BenchmarkWatch(b *testing.B) {
	w := newWatcher(b)
	_, c, client := pair(b, Options{})
	var h Watch
	b.ReportAllocs()
	for b.Loop() {
		w.Start(&h, c, nobody{})
		h.Stop()
	}
	if n := w.Watching(); n != 1 {
		b.Fatalf("%d connections are watched", n)
	}
	gone := make(told, 1)
	w.Start(&h, c, gone)
	_ = client.Close()
	within(b, "being told", gone)
	h.Stop()
}
