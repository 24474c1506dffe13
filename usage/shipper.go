package usage

import (
	"context"
	"errors"
	"slices"
	"time"
)

// shipper brings journals into the Store: our own, and those that dead
// processes left behind. It is one goroutine.
type shipper struct {
	*Ledger
	ours    *shipment // nil until there is a journal of our own
	adopted []*shipment
	portion portion
	pause   backoff
	away    bool // the Store is
	many    int  // records that the last pass shipped
	scanned time.Time
	tidied  time.Time
}

// shipment is a journal on its way into the Store.
type shipment struct {
	journal *journal
	reader  reader
}

func newShipment(j *journal) *shipment { return &shipment{journal: j, reader: reader{j: j}} }

const (
	scanEvery = 5 * time.Second // for journals whose process has died
	tidyEvery = 10 * time.Minute
	tidyPause = 100 * time.Millisecond // between two steps of a larger work

	// A pass costs the Store about as much as a thousand records. While so many
	// come that one ships busyRecords, the next waits busyPause times as long.
	busyRecords = 64
	busyPause   = 4
)

// run ships until the Ledger is closed, and then once more: what the Store
// does not take then stays in the journal. The end of ctx ends it at once.
func (s *shipper) run(ctx context.Context) {
	defer s.end(ctx)
	for ctx.Err() == nil {
		last := closed(s.written) // before the pass: what is written later is not in it
		s.adopt()
		err := s.pass(ctx)
		s.note(err)
		if err == nil {
			s.tidy(ctx)
		}
		if last || !s.wait(ctx, err) {
			return
		}
	}
}

func newShipper(l *Ledger) *shipper { return &shipper{Ledger: l} }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wait waits until there may be something to do; after an error, for a while.
func (s *shipper) wait(ctx context.Context, err error) bool {
	if err != nil {
		return s.sleep(ctx, s.pause.next())
	}
	var appended chan struct{}
	if s.ours != nil {
		appended = s.ours.journal.appended
	}
	idle := time.NewTimer(scanEvery)
	defer idle.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-idle.C:
		return true
	case <-s.begun:
		return true
	case <-s.written:
		return true
	case <-appended:
	}
	return s.sleep(ctx, s.gathering())
}

// gathering is how long to wait for more, once there is something.
func (s *shipper) gathering() time.Duration {
	if s.many >= busyRecords {
		return busyPause * s.ShipEvery
	}
	return s.ShipEvery
}

// sleep waits for so long, or until the last record is in the journal.
func (s *shipper) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-s.written:
	}
	return true
}

// pass ships everything that there is, a portion of each journal in turn, so
// that a long one left behind does not keep ours waiting.
func (s *shipper) pass(ctx context.Context) error {
	s.many = 0
	for ctx.Err() == nil {
		worked := false
		for _, one := range s.shipments() {
			more, err := s.step(ctx, one)
			if err != nil {
				return err
			}
			worked = worked || more
		}
		s.discard(ctx)
		if !worked {
			return nil
		}
	}
	return ctx.Err()
}

func (s *shipper) shipments() []*shipment {
	all := slices.Clone(s.adopted)
	if s.ours != nil {
		all = append(all, s.ours)
	}
	return all
}

// step ships one portion. It reports false at the journal's end.
func (s *shipper) step(ctx context.Context, one *shipment) (bool, error) {
	from := one.reader.position
	found, err := one.reader.next(&s.portion)
	if err == nil && found {
		err = s.ship(ctx, one, &s.portion)
	}
	if err != nil {
		one.reader.position = from // all of it once more
		return false, err
	}
	return found, nil
}

// ship brings a portion into the Store and lets go of it in the journal.
func (s *shipper) ship(ctx context.Context, one *shipment, p *portion) error {
	if p.spoiled > 0 && !p.torn { // the end of a write that a crash cut off is no riddle
		if err := s.keep(one, p, "damaged"); err != nil {
			return err
		}
	}
	result, err := s.Store.Ship(ctx, Batch{
		Journal: one.journal.id, Own: one == s.ours, From: p.from, To: p.to, Records: p.records, Encoded: p.encoded,
	})
	if errors.Is(err, ErrRefused) && p.spoiled == 0 {
		return s.refused(ctx, one, p, err)
	}
	if err != nil {
		return err
	}
	if !result.Already {
		s.stored.Add(int64(len(p.records) - result.Expired))
		s.dropped.add(DropExpired, result.Expired)
		s.countSpoiled(p)
		s.many += len(p.records)
	}
	s.shipped(one, result.Position, p)
	return nil
}

// shipped goes on behind what is in the Store now.
func (s *shipper) shipped(one *shipment, position int64, p *portion) {
	one.reader.position = position
	one.journal.letGo(position, p.at)
	s.pause.reset()
}

func (s *shipper) countSpoiled(p *portion) {
	switch {
	case p.torn:
		s.dropped.add(DropTorn, p.spoiled)
	case p.spoiled > 0:
		s.dropped.add(DropDamaged, p.spoiled)
	}
}

// note says once when the Store is away, and once when it is back.
func (s *shipper) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	switch away := err != nil; {
	case away && !s.away:
		s.Log.Warn("usage records wait in the journal", "error", err)
	case !away && s.away:
		s.Log.Info("usage records are stored again")
	}
	s.away = err != nil
}

// tidy lets the Store remove what is old, now and then.
func (s *shipper) tidy(ctx context.Context) {
	if time.Since(s.tidied) < tidyEvery || closed(s.quit) {
		return
	}
	more, err := s.Store.Tidy(ctx)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("usage tables not tidied", "error", err)
	}
	s.tidied = time.Now()
	if more && err == nil {
		s.tidied = s.tidied.Add(tidyPause - tidyEvery)
	}
}
