package usage

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Many requests at once, one taker: every record is taken exactly once or was
// refused, and those of one request's goroutine come in its order.
func TestTheQueueLosesAndDoublesNothing(t *testing.T) {
	const producers, each, room = 8, 5_000, 300
	q := newQueue(room)
	var refused atomic.Int64
	var working sync.WaitGroup
	for p := range producers {
		working.Go(func() {
			for i := range each {
				if !q.push(&Record{APIKeyID: int64(p), Prompt: int64(i + 1)}) {
					refused.Add(1)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()

	taken, latest := 0, make([]int64, producers)
	take := func() {
		n := 0
		for node := q.take(); node != nil; n++ {
			r := node.record
			if r.Prompt <= latest[r.APIKeyID] {
				t.Errorf("record %d of %d after %d", r.Prompt, r.APIKeyID, latest[r.APIKeyID])
			}
			latest[r.APIKeyID] = r.Prompt
			next := node.next
			q.recycle(node)
			node = next
		}
		if n > room {
			t.Errorf("%d records waited, in a queue for %d", n, room)
		}
		q.letGo(n)
		taken += n
	}
	for running := true; running; {
		select {
		case <-q.ready:
			take()
		case <-done:
			running = false
		}
	}
	take()
	if got := taken + int(refused.Load()); got != producers*each {
		t.Errorf("%d taken and %d refused, want %d together", taken, refused.Load(), producers*each)
	}
	if q.len() != 0 {
		t.Errorf("%d left", q.len())
	}
}

// Room counts what was taken and not let go: the whole of what is in memory.
func TestAFullQueueRefuses(t *testing.T) {
	q := newQueue(2)
	f := func(want bool) {
		t.Helper()
		if got := q.push(&Record{}); got != want {
			t.Errorf("push is %v, want %v", got, want)
		}
	}
	f(true)
	f(true)
	f(false)
	q.take()
	f(false)
	q.letGo(2)
	f(true)
}
