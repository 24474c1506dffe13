package server

import (
	"context"
	"sync"
	"time"
)

const (
	// usageAge is how old the figures of GET /v1/usage may be. A failure is
	// remembered as long.
	usageAge = 5 * time.Second

	// usageTimeout bounds the wait for a turn at the database and its answer.
	usageTimeout = 3 * time.Second

	// usageAsked is how many keys the database is asked about at once; the
	// ledger that writes needs connections, too.
	usageAsked = 2

	// usageKeys is how many keys are remembered; with more, some are asked
	// about more often than usageAge says.
	usageKeys = 1000
)

// usageMemory stands between the clients and the ledger's database: however
// often a key asks what it has used, the database is asked once in usageAge,
// and about a few keys at once.
type usageMemory struct {
	source Usage         // nil: there is no ledger
	seats  chan struct{} // of those who ask the source

	mu   sync.Mutex // guards keys; a leaf
	keys map[int64]*usageKnown
}

// usageKnown is what the source said of a key. Who made it asks; the others
// wait for done, after which it is read only.
type usageKnown struct {
	until int64 // unix nanoseconds; it is asked again then
	asOf  time.Time
	done  chan struct{}
	used  KeyUsage
	err   error
}

func (m *usageMemory) init(source Usage) {
	m.source = source
	m.seats = make(chan struct{}, usageAsked)
	m.keys = map[int64]*usageKnown{}
}

// of returns what a key has used, and when that was so. It waits no longer
// than usageTimeout, and a little for the source to notice that.
func (m *usageMemory) of(id, now int64) (KeyUsage, time.Time, error) {
	known, fresh := m.find(id, now)
	if fresh {
		known.ask(m, id)
	}
	<-known.done
	return known.used, known.asOf, known.err
}

// find returns what is known of a key, or a fresh entry that the caller has to
// ask for.
func (m *usageMemory) find(id, now int64) (known *usageKnown, fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known = m.keys[id]; known != nil && now < known.until {
		return known, false
	}
	if known == nil && len(m.keys) >= usageKeys {
		m.forgetLocked(now)
	}
	known = &usageKnown{until: now + int64(usageAge), asOf: time.Unix(0, now).UTC(), done: make(chan struct{})}
	m.keys[id] = known
	return known, true
}

// forgetLocked makes room: what is too old goes, or else any one. Whoever
// waits for it has it still.
func (m *usageMemory) forgetLocked(now int64) {
	for id, known := range m.keys {
		if now >= known.until {
			delete(m.keys, id)
		}
	}
	for id := range m.keys {
		if len(m.keys) < usageKeys {
			return
		}
		delete(m.keys, id)
	}
}

// ask fills the entry in. Its time is not the asking client's: others may wait
// for the same.
func (k *usageKnown) ask(m *usageMemory, id int64) {
	k.err = errPanic // until the source has answered
	defer close(k.done)
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout)
	defer cancel()
	select {
	case m.seats <- struct{}{}:
		defer func() { <-m.seats }()
		k.used, k.err = m.source.OfKey(ctx, id, k.asOf)
	case <-ctx.Done():
		k.err = ctx.Err()
	}
}
