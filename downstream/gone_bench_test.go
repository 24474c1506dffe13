package downstream

import "testing"

type nobody struct{}

func (nobody) ClientGone() {}

func BenchmarkWatch(b *testing.B) {
	w := newWatcher(b)
	_, c, _ := pair(b, Options{})
	var h Watch
	b.ReportAllocs()
	for b.Loop() {
		w.Start(&h, c, nobody{})
		h.Stop()
	}
}
