//go:build !race

package usage

import "testing"

// What a request pays for its record is no memory. (The race detector empties
// pools at random.)
func TestRecordAllocatesNothing(t *testing.T) {
	l := &Ledger{queue: newQueue(1 << 16)}
	r := sample(1)
	var w writer
	w.Ledger = l
	round := func() {
		l.Record(r)
		for w.taken = l.queue.take(); w.taken != nil; {
			w.fill()
			l.queue.letGo(w.frame.records)
		}
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations a record, its encoding included", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := &Ledger{queue: newQueue(1 << 16)}
	r := sample(1)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for n := 0; p.Next(); n++ {
			l.Record(r)
			if n%64 == 0 { // what the writer does
				taken := 0
				for node := l.queue.take(); node != nil; taken++ {
					next := node.next
					l.queue.recycle(node)
					node = next
				}
				l.queue.letGo(taken)
			}
		}
	})
	if l.Dropped(DropQueueFull) > 0 {
		b.Fatal("records were dropped")
	}
}
