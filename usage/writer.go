package usage

import (
	"time"
)

// writer brings records from the queue to the journal. It is one goroutine.
type writer struct {
	*Ledger
	taken *queued // from the queue, the oldest first
	frame frame
	ids   ids
	pause backoff
}

func newWriter(l *Ledger) *writer {
	w := &writer{Ledger: l, ids: newIDs()}
	w.begin() // so that a disk that cannot be used is heard of at the start
	return w
}

func (w *writer) run() {
	for w.await() {
		w.drain()
	}
	w.drain()
}

// await waits until it is time to write. It reports false at the end.
func (w *writer) await() bool {
	select {
	case <-w.quit:
		return false
	case <-w.queue.ready:
	}
	// More may come, and a sync costs the same for all.
	gather := time.NewTimer(w.WriteEvery)
	defer gather.Stop()
	select {
	case <-w.quit:
		return false
	case <-w.queue.pressing:
	case <-gather.C:
	}
	return true
}

// drain writes all that is queued.
func (w *writer) drain() {
	for w.taken = w.queue.take(); w.taken != nil; {
		w.fill()
		w.write()
		w.queue.letGo(w.frame.records)
	}
}

// fill makes a frame of what was taken, as far as it goes.
func (w *writer) fill() {
	w.frame.reset()
	now := time.Now() // of ids; asking for each record would cost as much as half of its encoding
	for w.taken != nil && !w.frame.full() {
		node := w.taken
		w.taken = node.next
		node.record.ID = w.ids.next(now)
		w.frame.add(&node.record)
		w.queue.recycle(node)
	}
}

// write appends the frame to the journal. A disk that fails is tried again
// until it does not; meanwhile the queue takes what comes, as far as it goes.
func (w *writer) write() {
	for {
		if w.JournalBytes()+int64(len(w.frame.bytes)) > w.MaxBytes {
			w.dropped.add(DropJournalFull, w.frame.records)
			return
		}
		err := w.begin()
		if err == nil {
			err = w.own.Load().append(&w.frame, time.Now())
		}
		w.note(err)
		if err == nil {
			return
		}
		again := time.NewTimer(w.pause.next())
		select {
		case <-w.quit:
			again.Stop()
			w.dropped.add(DropDisk, w.frame.records)
			return
		case <-again.C:
		}
	}
}

// begin makes the journal, unless there is one.
func (w *writer) begin() error {
	if w.own.Load() != nil {
		return nil
	}
	j, err := createJournal(w.Dir)
	if err != nil {
		w.note(err)
		return err
	}
	j.limit = min(j.limit, max(w.MaxBytes/8, 64<<10))
	w.own.Store(j)
	signal(w.begun)
	return nil
}

// note says once when the disk begins to fail, and once when it does no more.
func (w *writer) note(err error) {
	switch {
	case err != nil && !w.failing.Swap(true):
		w.Log.Error("usage journal cannot be written: records wait in memory", "error", err)
	case err == nil && w.failing.Swap(false):
		w.Log.Info("usage journal is written again", "dropped", w.Dropped(DropDisk))
	}
	if err == nil {
		w.pause.reset()
	}
}

// ids makes the ids of records: milliseconds since 2025 in the upper 41 bits,
// below them 10 that are this process's own and a number of 12. Ids of one
// process rise; those of two differ unless the same millisecond and the same
// chance of 1 in 1024 meet.
type ids struct {
	last uint64
	own  uint64
}

const (
	idEpoch     = 1735689600000 // 2025-01-01 in Unix milliseconds
	idBits      = 22
	idNumbering = 12
)

func newIDs() ids { return ids{own: randomBits(idBits-idNumbering) << idNumbering} }

func (g *ids) next(now time.Time) uint64 {
	g.last = max(g.last+1, uint64(max(0, now.UnixMilli()-idEpoch))<<idBits|g.own)
	return g.last
}
