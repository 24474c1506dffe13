package usage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// asideDir is where, in Dir, what cannot be read or stored is kept.
const asideDir = "aside"

// refused finds the frames that the Store will not take, by shipping frame by
// frame, and sets them aside.
func (s *shipper) refused(ctx context.Context, one *shipment, p *portion, cause error) error {
	if p.frames == 1 {
		s.Log.Error("usage records refused by the store", "records", len(p.records), "error", cause)
		if err := s.keep(one, p, "refused"); err != nil {
			return err
		}
		result, err := s.Store.Ship(ctx, Batch{Journal: one.journal.id, From: p.from, To: p.to})
		if err != nil {
			return err
		}
		s.dropped.add(DropRefused, len(p.records))
		s.shipped(one, result.Position, p)
		return nil
	}
	frames, err := one.reader.frames(p.from, p.to)
	if err != nil {
		return err
	}
	for i := range frames {
		if err := s.ship(ctx, one, &frames[i]); err != nil {
			return err
		}
		if one.reader.position != frames[i].to {
			break // more had been stored before
		}
	}
	return nil
}

// keep copies a piece of a journal into the directory aside, if the journals
// may grow by so much, for a person to look at.
func (s *shipper) keep(one *shipment, p *portion, why string) error {
	name := fmt.Sprintf("%s-%016x.%s", filepath.Base(one.journal.dir), p.from, why)
	path := filepath.Join(s.Dir, asideDir, name)
	if _, err := os.Stat(path); err == nil {
		return nil // at an earlier try
	}
	b, err := one.reader.raw(p.from, p.to)
	s.Log.Error("a piece of the usage journal is set aside", "name", name, "bytes", len(b))
	if errors.Is(err, os.ErrNotExist) || err == nil && s.JournalBytes()+int64(len(b)) > s.MaxBytes {
		return nil // a segment that somebody removed; or no room
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	return err
}
