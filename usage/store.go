package usage

import (
	"context"
	"errors"
)

// Store is where a journal is shipped to. Its methods are called by one
// goroutine, one after the other.
type Store interface {
	// Ship stores the records of a batch and notes that its journal has been
	// stored up to Batch.To, both or neither. If more than Batch.From has been
	// noted already, by a call whose answer was lost, it stores nothing. It
	// returns what is noted now.
	//
	// Any error leaves it open whether the batch is stored; the same batch is
	// then shipped again. An error that is ErrRefused says that it never will.
	Ship(ctx context.Context, b Batch) (Shipped, error)

	// Forget removes the note of a journal that is no more.
	Forget(ctx context.Context, journal uint64) error

	// Tidy removes some of what has been kept for long enough, and makes room
	// for what is to come. It reports whether there is more to do.
	Tidy(ctx context.Context) (more bool, err error)
}

// Batch is a part of a journal. It belongs to the caller of Ship, who uses it
// again.
type Batch struct {
	Journal  uint64 // below 1<<63
	Own      bool   // of this process, and not of one that has died
	From, To int64
	Records  []Record
	Encoded  []byte // the same, as AppendRecord writes them one behind the other; nil: not at hand
}

// Shipped is what came of a batch.
type Shipped struct {
	Position int64 // noted for the journal: Batch.To, or where to go on instead
	Already  bool  // nothing was stored: it had been before
	Expired  int   // records that were not stored because they are too old to be kept
}

// ErrRefused is the error of a Store that will not take a batch, however often
// it is tried.
var ErrRefused = errors.New("the usage store refuses the records")
