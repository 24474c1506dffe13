package store

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"llmproxy/config"
)

// tables are the configuration tables of either database: what is the same for
// both, which is all but how a transaction is run.
type tables struct {
	db     backend
	sealer *Sealer

	// owed is set by a Load that found no database, and cleared by Watch as it
	// asks for another: what was missed must not wait for the next change.
	owed atomic.Bool
}

// backend runs transactions. Errors that f returns come back as they are.
type backend interface {
	// view runs f on one consistent state and changes nothing.
	view(ctx context.Context, p patience, f func(tx) error) error
	// update runs f and commits what it did if it returns nil.
	update(ctx context.Context, p patience, f func(tx) error) error
}

// tx is one transaction; its context, with a deadline, is inside. It lives as
// long as the function it was given to.
//
// Statements are written as PostgreSQL's; SQLite's side takes out what it does
// not know (see sqliteText). Errors are already in this package's words.
type tx interface {
	query(sql string, args ...any) (rows, error)
	exec(sql string, args ...any) (changed int64, err error)
}

// rows are the answer to a query; Close may be called at any time, and again.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// record is a row of one table that says where its columns are to be scanned.
type record[R any] interface {
	*R
	dest() []any
}

// readAll returns every row of a query.
func readAll[R any, P record[R]](x tx, sql string, args ...any) ([]R, error) {
	found, err := x.query(sql, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []R
	for found.Next() {
		var one R
		if err := found.Scan(P(&one).dest()...); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}

// readOne scans the only row of a query into dest, or returns ErrNotFound.
func readOne(x tx, dest []any, sql string, args ...any) error {
	found, err := x.query(sql, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	if !found.Next() {
		if err := found.Err(); err != nil {
			return err
		}
		return ErrNotFound
	}
	if err := found.Scan(dest...); err != nil {
		return err
	}
	found.Close()
	return found.Err()
}

// execOne runs a statement that must meet a row, or returns ErrNotFound.
func execOne(x tx, sql string, args ...any) error {
	changed, err := x.exec(sql, args...)
	if err == nil && changed == 0 {
		return ErrNotFound
	}
	return err
}

// readVersion returns the version within a transaction. The row is made again
// by the next change if somebody removed it, so that its absence is no error.
func readVersion(x tx) (version int64, at time.Time, err error) {
	var when moment
	err = readOne(x, []any{&version, &when}, "SELECT version, updated_at FROM config_version WHERE id = 1")
	if err == ErrNotFound {
		return 0, time.Time{}, nil
	}
	return version, when.Time, err
}

// Load implements Store.
func (t *tables) Load(ctx context.Context) (*config.Set, error) {
	set := new(config.Set)
	err := t.db.view(ctx, loading, func(x tx) (err error) {
		if set.Version, _, err = readVersion(x); err != nil {
			return err
		}
		var wrong faults
		if set.Providers, err = t.readProviders(x, &wrong); err != nil {
			return err
		}
		if set.Credentials, err = t.readCredentials(x, &wrong); err != nil {
			return err
		}
		if set.Prices, err = readPrices(x); err != nil {
			return err
		}
		return wrong.err()
	})
	if err != nil {
		t.owed.Store(errors.Is(err, ErrUnavailable))
		return nil, err
	}
	return set, nil
}

// Version implements Store.
func (t *tables) Version(ctx context.Context) (version int64, at time.Time, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		version, at, err = readVersion(x)
		return err
	})
	return version, at, err
}

// change runs f in a transaction and returns the version that it made.
func (t *tables) change(ctx context.Context, f func(tx) error) (version int64, err error) {
	err = t.db.update(ctx, asking, func(x tx) (err error) {
		if err = f(x); err != nil {
			return err
		}
		version, _, err = readVersion(x)
		return err
	})
	return version, err
}
