package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// usageSQLite is the usage of an embedded gateway, in a file of its own. It is
// made when it is first needed: a disk that fails then is tried again.
type usageSQLite struct {
	SQLite // of which the transactions are used

	blockRecords int // of a block, at most

	packed []byte                // the last block that was written: of the one transaction that writes
	owed   []byte                // as packed, the last row of usage_owed
	owing  map[usageKey]struct{} // as packed, what sums usage_owed is about; those of a batch that failed too
	broken sync.Map              // ids of blocks that cannot be read

	unpacked atomic.Int64 // blocks

	mu     sync.Mutex // guards what follows, and the making of the file
	opened bool
}

const (
	usageName = "usage.db"
	kindUsage = "usage" // of its migrations

	// A removal of old blocks is a few transactions of so many blocks or pages,
	// each of some ten milliseconds.
	tidyBlocks = 20
	tidyPages  = 500
)

func newUsageSQLite(dir string, log *slog.Logger) *usageSQLite {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	path := filepath.Join(dir, usageName)
	return &usageSQLite{blockRecords: blockRecords, owing: map[usageKey]struct{}{}, SQLite: SQLite{
		path:   path,
		writer: openFile(path, 1, "_txlock=immediate"),
		reader: openFile(path, readers, "_pragma=query_only(1)"),
		log:    log,
		up:     &Migrator{sqlite: path, kind: kindUsage},
	}}
}

func (s *usageSQLite) second(t time.Time) any          { return t.Unix() }
func (s *usageSQLite) secondText(column string) string { return column }
func (s *usageSQLite) close()                          { s.SQLite.Close() }

// ready implements usageDialect.
func (s *usageSQLite) ready(ctx context.Context, _ []time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return nil
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := s.up.Up(ctx); err != nil {
		return err
	}
	s.opened = true
	return nil
}

// prepare makes the file, if it is not there, for our eyes only and so that
// the room of removed rows can be given back. That is a property of the first
// page, so it comes before everything else.
func (s *usageSQLite) prepare(ctx context.Context) error {
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return unavailable(err)
	}
	info, err := file.Stat()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return unavailable(err)
	}
	if info.Size() > 0 {
		return nil
	}
	address := (&url.URL{Scheme: "file", Path: filepath.ToSlash(s.path)}).String()
	db, err := sql.Open("sqlite", address+fmt.Sprintf("?_pragma=busy_timeout(%d)&_pragma=auto_vacuum(2)&_pragma=journal_mode(WAL)", busyTimeout.Milliseconds()))
	if err != nil {
		panic("BUG: " + err.Error()) // the driver is not there
	}
	defer db.Close()
	return sqliteError(db.PingContext(ctx))
}

// view implements backend.
func (s *usageSQLite) view(ctx context.Context, p patience, f func(tx) error) error {
	if err := s.ready(ctx, nil); err != nil {
		return err
	}
	return s.SQLite.view(ctx, p, f)
}

// update implements backend.
func (s *usageSQLite) update(ctx context.Context, p patience, f func(tx) error) error {
	if err := s.ready(ctx, nil); err != nil {
		return err
	}
	return s.SQLite.update(ctx, p, f)
}

var addSum = `INSERT INTO TABLE (SPAN, ` + usageKeyColumns + `, ` + usageSumColumns + `) VALUES (?` +
	strings.Repeat(", ?", 16) + `)` + usageConflict

// add implements usageDialect.
func (s *usageSQLite) add(x tx, sums *usageSums) error { return s.owe(x, sums.byHour()) }

// upsert adds to the rows of one table.
func (s *usageSQLite) upsert(x tx, to usageSpan, sums []*usageSum) error {
	t := x.(sqliteTx)
	statement, err := t.tx.PrepareContext(t.ctx, to.of(addSum))
	if err != nil {
		return sqliteError(err)
	}
	defer statement.Close()
	for _, sum := range sums {
		row := []any{sum.from, sum.keyID}
		for _, text := range sum.texts() {
			row = append(row, text)
		}
		for _, n := range sum.numbers() {
			row = append(row, n)
		}
		if _, err := statement.ExecContext(t.ctx, row...); err != nil {
			return sqliteError(err)
		}
	}
	return nil
}

// tidy implements usageDialect: one small piece of the work at a time, so that
// no batch waits for long.
func (s *usageSQLite) tidy(ctx context.Context, from time.Time) (bool, error) {
	removed := 0
	err := s.update(ctx, loading, func(x tx) error {
		old, err := scanBlocks(x.query(`SELECT last_at, id, first_at, records, marks FROM usage_blocks
			WHERE last_at < $1 ORDER BY last_at, id LIMIT $2`, from.UnixMicro(), tidyBlocks))
		removed = len(old)
		for i := 0; err == nil && i < len(old); i++ {
			err = remove(x, old[i].lastAt, old[i].id)
		}
		return err
	})
	if err != nil || removed == 0 {
		return false, err
	}
	// Pages that are free go back to the system, no more than were emptied.
	err = s.update(ctx, loading, func(x tx) error {
		found, err := x.query(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", tidyPages))
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
		}
		return found.Err()
	})
	return removed == tidyBlocks, err
}
