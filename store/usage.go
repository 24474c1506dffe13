package store

import (
	"context"
	"fmt"
	"time"

	"llmproxy/usage"
)

// Usage keeps what the gateway was used for: records, and their sums by the
// hour and the day. In PostgreSQL they lie beside the configuration and are those of the
// whole fleet; an embedded gateway has a file of its own for them, usage.db.
//
// It is the usage.Store that a ledger ships to, and answers questions; its
// methods may be called from any goroutine. Errors are as those of Store.
type Usage struct {
	db   usageDialect
	days int
}

// UsageOptions say how long what is kept.
type UsageOptions struct {
	Dir  string // where usage.db is, of an embedded gateway
	Days int    // records stay for so many days; 0: 30
}

const (
	defaultUsageDays = 30

	// sumDays is how long sums stay, and with them the notes of journals: a
	// journal that comes later than that holds nothing that is still kept.
	sumDays = 400
)

// usageDialect is what the two databases do each in its own way.
type usageDialect interface {
	backend

	// ready makes what records of these days need. It is cheap once it is there.
	ready(ctx context.Context, days []time.Time) error
	// insert stores the records of a batch that are kept. Those that no try would
	// store are usage.ErrRefused.
	insert(x tx, b *usageBatch) error
	// latest is Usage.Latest.
	latest(ctx context.Context, f UsageFilter, after UsageCursor, n int) ([]usage.Record, error)
	// add adds what a batch has to the sums.
	add(x tx, sums *usageSums) error
	// settled sees that what has been added can be asked for.
	settled(ctx context.Context) error
	// tidy removes records of days before from, and reports whether some are left.
	tidy(ctx context.Context, from time.Time) (more bool, err error)

	second(t time.Time) any          // as hour, day and updated_at have it
	secondText(column string) string // a column hour or day in seconds of Unix time
	close()
}

// OpenUsage opens the usage of the store. It touches neither network nor disk.
func OpenUsage(s Store, o UsageOptions) *Usage {
	if o.Days <= 0 {
		o.Days = defaultUsageDays
	}
	u := &Usage{days: o.Days}
	switch s := s.(type) {
	case *postgres:
		u.db = &usagePostgres{postgres: s}
	case *SQLite:
		u.db = newUsageSQLite(o.Dir, s.log)
	default:
		panic("BUG: a store of an unknown kind")
	}
	return u
}

// Close gives back what Usage opened itself; the Store is closed after it.
func (u *Usage) Close() { u.db.close() }

const (
	claimJournal = `INSERT INTO usage_journals (journal_id, position, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (journal_id) DO UPDATE SET updated_at = excluded.updated_at RETURNING position`
	moveJournal   = `UPDATE usage_journals SET position = $2 WHERE journal_id = $1`
	forgetJournal = `DELETE FROM usage_journals WHERE journal_id = $1`

	oldJournals = `DELETE FROM usage_journals WHERE updated_at < $1`
)

// Ship implements usage.Store: records, sums and position are one transaction.
func (u *Usage) Ship(ctx context.Context, b usage.Batch) (usage.Shipped, error) {
	now := time.Now()
	taken := takeBatch(b, u.oldest(now), day(now).AddDate(0, 0, -sumDays))
	done := usage.Shipped{Position: b.To, Expired: len(b.Records) - taken.kept}
	if err := u.db.ready(ctx, taken.days); err != nil {
		return done, err
	}
	err := u.db.update(ctx, loading, func(x tx) error {
		// The row is locked from here on: whoever else ships the journal, or
		// did and was cut off before its commit came to an end, is waited for.
		var noted int64
		if err := readOne(x, []any{&noted}, claimJournal, int64(b.Journal), b.From, u.db.second(now)); err != nil {
			return err
		}
		if noted > b.From {
			done = usage.Shipped{Position: noted, Already: true}
			return nil
		}
		if err := u.db.insert(x, taken); err != nil {
			return err
		}
		if _, err := x.exec(moveJournal, int64(b.Journal), b.To); err != nil {
			return err
		}
		// Last, because all gateways add to the same rows.
		return u.db.add(x, taken.sums)
	})
	return done, err
}

// oldest is the beginning of the first day whose records are kept.
func (u *Usage) oldest(now time.Time) time.Time { return day(now).AddDate(0, 0, -u.days) }

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// Forget implements usage.Store.
func (u *Usage) Forget(ctx context.Context, journal uint64) error {
	return u.db.update(ctx, asking, func(x tx) error {
		_, err := x.exec(forgetJournal, int64(journal))
		return err
	})
}

// Tidy implements usage.Store.
func (u *Usage) Tidy(ctx context.Context) (more bool, err error) {
	now := time.Now()
	if err := u.db.ready(ctx, []time.Time{day(now), day(now).AddDate(0, 0, 1)}); err != nil {
		return false, err
	}
	if more, err = u.db.tidy(ctx, u.oldest(now)); err != nil {
		return false, err
	}
	if err := u.db.settled(ctx); err != nil {
		return false, err
	}
	return more, u.db.update(ctx, loading, func(x tx) error {
		before := u.db.second(day(now).AddDate(0, 0, -sumDays))
		for _, span := range []usageSpan{byHour, byDay} {
			if _, err := x.exec("DELETE FROM "+span.table+" WHERE "+span.column+" < $1", before); err != nil {
				return err
			}
		}
		_, err := x.exec(oldJournals, before)
		return err
	})
}

// refused marks the error of a database that will not take what it was given.
func refused(err error) error { return fmt.Errorf("%w: %w", usage.ErrRefused, err) }
