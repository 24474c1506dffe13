package usage

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a Ledger works with.
type Options struct {
	Dir      string // for the journals; made when it is needed. Processes may share it
	Queue    int    // records that may be in memory only; 0: 65536
	MaxBytes int64  // of all journals in Dir; 0: 1 GiB
	Store    Store
	Log      *slog.Logger // nil: no log

	// How often the disk is written and the Store is asked, while there is
	// something to write or to ship. 0: 50 ms and 250 ms. While much is shipped,
	// the Store is asked four times less often.
	WriteEvery, ShipEvery time.Duration
}

// Ledger is the Sink that writes records down. Its methods may be called by
// any goroutine; none but Close waits.
type Ledger struct {
	Options
	queue   *queue
	failing atomic.Bool // the disk is
	closed  atomic.Bool

	own          atomic.Pointer[journal] // nil until the disk takes one
	others       atomic.Int64            // bytes of the other journals in Dir, and of what was set aside
	adoptedSince atomic.Int64            // when the oldest record of a journal left behind was written, in Unix nanoseconds; 0: there is none
	stored       atomic.Int64
	dropped      drops

	begun   chan struct{} // there is a journal of our own
	quit    chan struct{} // closed: no record comes any more
	written chan struct{} // closed when all of them are on the disk
	ended   chan struct{} // closed when the shipper has ended
	stop    context.CancelFunc
	closing sync.Once
}

const (
	defaultQueue      = 1 << 16
	defaultMaxBytes   = 1 << 30
	defaultWriteEvery = 50 * time.Millisecond
	defaultShipEvery  = 250 * time.Millisecond

	// Patience with a disk or a Store that fails.
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
)

// NewLedger makes a Ledger, and starts it. It cannot fail: a disk or a Store
// that cannot be used may be mended while the gateway serves.
func NewLedger(o Options) *Ledger {
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.WriteEvery <= 0 {
		o.WriteEvery = defaultWriteEvery
	}
	if o.ShipEvery <= 0 {
		o.ShipEvery = defaultShipEvery
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{
		Options: o, queue: newQueue(o.Queue),
		begun: make(chan struct{}, 1), quit: make(chan struct{}), written: make(chan struct{}), ended: make(chan struct{}),
	}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	go func() {
		defer close(l.written)
		newWriter(l).run()
	}()
	go func() {
		defer close(l.ended)
		newShipper(l).run(ctx)
	}()
	return l
}

// Record implements Sink. It never waits and allocates nothing; a record for
// which there is no room is counted and gone.
func (l *Ledger) Record(r Record) {
	switch {
	case l.closed.Load():
		l.dropped.add(DropClosed, 1)
	case l.queue.push(&r):
	case l.failing.Load():
		l.dropped.add(DropDisk, 1)
	default:
		l.dropped.add(DropQueueFull, 1)
	}
}

// Close writes what is queued to the journal and ships what it can until ctx
// ends. What is not shipped by then stays in the journal for another process.
func (l *Ledger) Close(ctx context.Context) {
	l.closing.Do(func() {
		l.closed.Store(true)
		close(l.quit)
	})
	defer l.stop()
	for _, done := range []chan struct{}{l.written, l.ended} {
		select {
		case <-done:
		case <-ctx.Done():
			l.stop()
			l.awaitStopped()
			return
		}
	}
}

// stopTime is how long a disk or a Store has to notice that it is given up.
const stopTime = 200 * time.Millisecond

func (l *Ledger) awaitStopped() {
	late := time.NewTimer(stopTime)
	defer late.Stop()
	for _, done := range []chan struct{}{l.written, l.ended} {
		select {
		case <-done:
		case <-late.C:
			l.Log.Warn("usage ledger: the disk or the store does not answer; what it was given may not be there")
			return
		}
	}
}

// backoff is the pauses between tries: longer each time, never in step with
// those of other processes.
type backoff struct{ pause time.Duration }

func (b *backoff) next() time.Duration {
	b.pause = min(max(2*b.pause, firstPause), maxPause)
	return b.pause/2 + rand.N(b.pause/2)
}

func (b *backoff) reset() { b.pause = 0 }
