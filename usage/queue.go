package usage

import (
	"sync"
	"sync/atomic"
)

// queue holds records between the requests that made them and the one
// goroutine that writes them down.
//
// It is a chain with the newest on top: push is one compare-and-swap, and the
// taker takes the whole chain at once, so that a node is never seen by two
// (no ABA), and the memory in use is that of what waits. At most room records
// are in memory, those included that were taken but not yet let go.
type queue struct {
	room int64
	size atomic.Int64
	top  atomic.Pointer[queued]
	pool sync.Pool // of *queued

	ready    chan struct{} // something waits
	pressing chan struct{} // so much waits that the next write should begin
}

// queued is a record in a chain. The taker owns it once it has taken it.
type queued struct {
	record Record
	next   *queued
}

// newQueue makes a queue for room records.
func newQueue(room int) *queue {
	return &queue{room: int64(room), ready: make(chan struct{}, 1), pressing: make(chan struct{}, 1)}
}

// push adds a record. It reports false, and adds nothing, when there is no
// room. Any goroutine may call it; it never waits.
func (q *queue) push(r *Record) bool {
	n := q.size.Add(1)
	if n > q.room {
		q.size.Add(-1)
		return false
	}
	node, _ := q.pool.Get().(*queued)
	if node == nil {
		node = new(queued)
	}
	node.record = *r
	for {
		node.next = q.top.Load()
		first := node.next == nil // node is the taker's as soon as it is on the chain
		if q.top.CompareAndSwap(node.next, node) {
			if first {
				signal(q.ready)
			}
			break
		}
	}
	if n == frameRecords {
		signal(q.pressing)
	}
	return true
}

// take returns all that waits, the oldest first. Only one goroutine may call it.
func (q *queue) take() *queued {
	var oldest *queued
	for node := q.top.Swap(nil); node != nil; {
		node.next, node, oldest = oldest, node.next, node
	}
	return oldest
}

// recycle takes a node back whose record has been copied.
func (q *queue) recycle(node *queued) {
	*node = queued{}
	q.pool.Put(node)
}

// letGo makes room again for n records that were taken.
func (q *queue) letGo(n int) { q.size.Add(int64(-n)) }

// len is the number of records that are in memory.
func (q *queue) len() int64 { return q.size.Load() }

// signal wakes whoever waits on a channel with room for one, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
