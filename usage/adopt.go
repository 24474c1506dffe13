package usage

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// adopt looks for journals that dead processes left behind, and for our own
// once there is one.
func (s *shipper) adopt() {
	if j := s.own.Load(); j != nil && s.ours == nil {
		s.ours = newShipment(j)
	}
	if time.Since(s.scanned) < scanEvery || closed(s.quit) {
		return
	}
	s.scanned = time.Now()
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return // not made yet, or the disk fails: the writer says so
	}
	for _, entry := range entries {
		s.consider(entry.Name())
	}
	s.measure()
}

// consider adopts a journal if its process is dead.
func (s *shipper) consider(name string) {
	if rest, ok := strings.CutPrefix(name, makingPrefix); ok && rest != "" {
		s.clear(name)
		return
	}
	if s.own.Load() != nil && name == filepath.Base(s.own.Load().dir) ||
		slices.ContainsFunc(s.adopted, func(one *shipment) bool { return filepath.Base(one.journal.dir) == name }) {
		return
	}
	j, err := adoptJournal(s.Dir, name)
	if err != nil {
		return
	}
	if len(j.segments) > 0 {
		s.Log.Info("usage journal adopted", "journal", name, "bytes", j.bytes())
	}
	s.adopted = append(s.adopted, newShipment(j))
}

// makingTime is how long a journal may take to be made.
const makingTime = time.Minute

// clear removes what a process that died while it made its journal left.
func (s *shipper) clear(name string) {
	path := filepath.Join(s.Dir, name)
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > makingTime {
		_ = os.RemoveAll(path)
	}
}

// discard removes journals left behind that are in the Store to their end, and
// then the Store's notes of them: the other way round a crash between would
// have them stored twice.
func (s *shipper) discard(ctx context.Context) {
	left := s.adopted[:0]
	for _, one := range s.adopted {
		if one.reader.segment() != nil {
			left = append(left, one)
			continue
		}
		s.finish(ctx, one)
	}
	if len(left) < len(s.adopted) {
		s.adopted = left
		s.measure()
	}
	s.adopted = left
}

// finish removes a journal that is in the Store to its end.
func (s *shipper) finish(ctx context.Context, one *shipment) {
	one.reader.close()
	err := one.journal.remove()
	if err == nil {
		err = s.Store.Forget(ctx, one.journal.id)
	}
	if err != nil { // a note too many, or an empty journal that is found again
		s.Log.Debug("usage journal not removed", "error", err)
	}
}

// end gives the journals back: removed if they are shipped, else for another
// process to adopt.
func (s *shipper) end(ctx context.Context) {
	if j := s.own.Load(); j != nil && s.ours == nil {
		s.ours = newShipment(j)
	}
	for _, one := range s.shipments() {
		// Our own is written to until the writer has ended.
		if one == s.ours && !closed(s.written) {
			one.reader.close()
			continue
		}
		if one.reader.segment() == nil && ctx.Err() == nil {
			s.finish(ctx, one)
			continue
		}
		one.reader.close()
		one.journal.leave()
	}
}

// measure looks at what the journals in the directory take that are not ours,
// and how old what was adopted is.
func (s *shipper) measure() {
	own := ""
	if j := s.own.Load(); j != nil {
		own = j.dir
	}
	var bytes int64
	_ = filepath.WalkDir(s.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil // it went while we looked
		}
		if entry.IsDir() && path == own {
			return filepath.SkipDir
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	s.others.Store(bytes)
	var since int64
	for _, one := range s.adopted {
		if at := one.journal.waiting(); !at.IsZero() && (since == 0 || at.UnixNano() < since) {
			since = at.UnixNano()
		}
	}
	s.adoptedSince.Store(since)
}
