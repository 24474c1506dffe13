package usage

import (
	"sync/atomic"
	"time"
)

// The reasons why a record is not stored, as metrics show them.
const (
	DropQueueFull   = "queue_full"   // too much waited for the disk
	DropJournalFull = "journal_full" // the journal has its greatest size: the Store was away for long
	DropDisk        = "disk"         // too much waited for a disk that fails
	DropTorn        = "torn"         // it was being written when the machine died
	DropDamaged     = "damaged"      // the disk holds something else than what was written
	DropRefused     = "refused"      // the Store will never take it
	DropExpired     = "expired"      // it came to the Store when it was too old to be kept
	DropClosed      = "closed"       // it came after the end
)

// DropReasons are all of them.
var DropReasons = [...]string{
	DropQueueFull, DropJournalFull, DropDisk, DropTorn, DropDamaged, DropRefused, DropExpired, DropClosed,
}

// drops counts by reason.
type drops [len(DropReasons)]atomic.Int64

func (d *drops) add(reason string, n int) {
	for i := range DropReasons {
		if DropReasons[i] == reason {
			d[i].Add(int64(n))
			return
		}
	}
	panic("BUG: no such reason: " + reason)
}

// Dropped is how many records were not stored for one of the DropReasons,
// since the start.
func (l *Ledger) Dropped(reason string) int64 {
	for i := range DropReasons {
		if DropReasons[i] == reason {
			return l.dropped[i].Load()
		}
	}
	return 0
}

// Queued is how many records are in memory only.
func (l *Ledger) Queued() int64 { return l.queue.len() }

// Stored is how many records the Store took, since the start.
func (l *Ledger) Stored() int64 { return l.stored.Load() }

// JournalBytes is what the journals in the directory take, those of other
// processes included as they were when we last looked.
func (l *Ledger) JournalBytes() int64 {
	n := l.others.Load()
	if own := l.own.Load(); own != nil {
		n += own.bytes()
	}
	return n
}

// JournalLag is how long the oldest record on the disk has waited for the
// Store: 0 when nothing waits.
func (l *Ledger) JournalLag() time.Duration {
	now, lag := time.Now(), time.Duration(0)
	if own := l.own.Load(); own != nil {
		lag = own.lag(now)
	}
	if since := l.adoptedSince.Load(); since != 0 {
		lag = max(lag, now.Sub(time.Unix(0, since)))
	}
	return lag
}
