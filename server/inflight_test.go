package server

import (
	"sync"
	"testing"
)

// TestInflightOfOneShard: who leaves moves the slot of the last to its own
// place, while the last may be leaving too. The race detector once saw it look
// at its slot without the lock.
func TestInflightOfOneShard(t *testing.T) {
	var (
		f       inflight
		leaving sync.WaitGroup
	)
	for range 8 {
		leaving.Go(func() {
			x := &exchange{slot: -1}
			for range 500 {
				f.remove(x) // is not in flight
				f.add(x)
				f.remove(x)
			}
			if x.slot != -1 {
				t.Errorf("slot %d after leaving", x.slot)
			}
		})
	}
	leaving.Wait()
	if n := len(f.shards[0].all); n != 0 {
		t.Errorf("%d exchanges are in flight after all left", n)
	}
}
