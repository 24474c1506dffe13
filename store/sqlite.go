package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"
)

const (
	// sqliteName is the file in DATA_DIR; -wal and -shm lie beside it.
	sqliteName = "llm-proxy.db"

	// How long to wait for a lock that another process holds: less than what
	// an administrator is promised an answer in.
	busyTimeout = 1500 * time.Millisecond

	readers = 4
)

// SQLite is the Store of a single gateway, a file in its DATA_DIR.
//
// There is one writer and few readers, each with connections of its own; what
// a reader sees is consistent without anybody waiting (WAL). Other processes
// may read and write the file at the same time.
type SQLite struct {
	tables
	path   string
	writer *sql.DB
	reader *sql.DB
	poll   time.Duration
	log    *slog.Logger
	up     *Migrator
}

// openSQLite makes the file if it is not there, and sees that it is sound.
func openSQLite(o Options) (Store, error) {
	path, err := prepareFile(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &SQLite{
		path:   path,
		writer: openFile(path, 1, "_txlock=immediate"),
		reader: openFile(path, readers, "_pragma=query_only(1)"),
		poll:   min(o.Poll, sqlitePoll),
		log:    o.Log,
		up:     &Migrator{sqlite: path},
	}
	s.db, s.sealer = s, o.Sealer
	if err := checkFile(s.writer, path); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openFile returns connections to the file; it touches nothing yet.
func openFile(path string, most int, options ...string) *sql.DB {
	options = append([]string{
		fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()), // first: the others may have to wait
		"_pragma=journal_mode(WAL)",
		"_pragma=synchronous(FULL)", // a change that was acknowledged survives a power cut
		"_pragma=foreign_keys(1)",
	}, options...)
	dsn := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String() + "?" + strings.Join(options, "&")
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		panic("BUG: " + err.Error()) // the driver is not there
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db
}

// Kind implements Store.
func (s *SQLite) Kind() string { return kindSQLite }

// Migrate implements Store.
func (s *SQLite) Migrate(ctx context.Context) error { return s.up.Up(ctx) }

// Close implements Store.
func (s *SQLite) Close() {
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if err := db.Close(); err != nil {
			s.log.Warn("closing the embedded store", "path", s.path, "error", err)
		}
	}
}

// Setting returns a small named value of this gateway, such as the hash of
// its admin key, or ErrNotFound.
func (s *SQLite) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.view(ctx, asking, func(x tx) error {
		return readOne(x, []any{&value}, "SELECT value FROM settings WHERE name = $1", name)
	})
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("setting %s: %w", name, ErrNotFound)
	}
	return value, err
}

// SetSetting stores a named value, in place of an older one.
func (s *SQLite) SetSetting(ctx context.Context, name, value string) error {
	return s.update(ctx, asking, func(x tx) error {
		_, err := x.exec("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2", name, value)
		return err
	})
}

// view implements backend.
func (s *SQLite) view(ctx context.Context, p patience, f func(tx) error) error {
	return s.run(ctx, p, s.reader, &sql.TxOptions{ReadOnly: true}, f)
}

// update implements backend. Its transaction takes the only write lock as it
// begins, so that what f reads is what f changes.
func (s *SQLite) update(ctx context.Context, p patience, f func(tx) error) error {
	return s.run(ctx, p, s.writer, nil, f)
}

func (s *SQLite) run(ctx context.Context, p patience, db *sql.DB, how *sql.TxOptions, f func(tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.whole)
	defer cancel()
	t, err := db.BeginTx(ctx, how)
	if err != nil {
		return sqliteError(err)
	}
	// After a commit it does nothing; after a failure, or a panic in f, it
	// keeps what f did from being stored.
	defer t.Rollback() //nolint:errcheck
	if err := f(sqliteTx{ctx, t}); err != nil {
		return err
	}
	return sqliteError(t.Commit())
}

// sqliteTx is a tx of SQLite.
type sqliteTx struct {
	ctx context.Context
	tx  *sql.Tx
}

// sqliteText takes out of a statement what SQLite neither knows nor needs: its
// JSON is text, and a transaction that writes has the file to itself.
var sqliteText = strings.NewReplacer("::jsonb", "", forUpdate, "")

func (t sqliteTx) query(text string, args ...any) (rows, error) {
	found, err := t.tx.QueryContext(t.ctx, sqliteText.Replace(text), args...)
	if err != nil {
		return nil, sqliteError(err)
	}
	return sqliteRows{found}, nil
}

func (t sqliteTx) exec(text string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(t.ctx, sqliteText.Replace(text), args...)
	if err != nil {
		return 0, sqliteError(err)
	}
	changed, err := result.RowsAffected()
	return changed, sqliteError(err)
}

// sqliteRows are rows with this package's errors.
type sqliteRows struct{ *sql.Rows }

func (r sqliteRows) Err() error { return sqliteError(r.Rows.Err()) }
func (r sqliteRows) Close()     { _ = r.Rows.Close() } // Err tells what went wrong

// sqliteError puts an error of database/sql or the driver into this package's
// words.
func sqliteError(err error) error {
	if err == nil {
		return nil
	}
	var refused *sqlite.Error
	if !errors.As(err, &refused) {
		return unavailable(err) // a time limit, or closed
	}
	switch code := refused.Code(); code & 0xff {
	case sqlitecode.SQLITE_CONSTRAINT:
		if code == sqlitecode.SQLITE_CONSTRAINT_UNIQUE || code == sqlitecode.SQLITE_CONSTRAINT_PRIMARYKEY {
			return ErrDuplicate
		}
		return fmt.Errorf("the database refuses it: %s", oneLine(refused.Error()))
	case sqlitecode.SQLITE_BUSY, sqlitecode.SQLITE_LOCKED, sqlitecode.SQLITE_PROTOCOL, sqlitecode.SQLITE_INTERRUPT, // others are at it
		sqlitecode.SQLITE_FULL, sqlitecode.SQLITE_IOERR, sqlitecode.SQLITE_NOMEM, // the machine
		sqlitecode.SQLITE_READONLY, sqlitecode.SQLITE_CANTOPEN, sqlitecode.SQLITE_PERM, // the directory
		sqlitecode.SQLITE_CORRUPT, sqlitecode.SQLITE_NOTADB: // the file
		return unavailable(err)
	}
	if isNoTable(err) {
		return errNoTables(oneLine(refused.Error()))
	}
	return fmt.Errorf("the database reports: %s", oneLine(refused.Error()))
}

// isNoTable reports whether err comes of tables that are not, or not yet, as
// this binary knows them. SQLite has no code of its own for it.
func isNoTable(err error) bool {
	var refused *sqlite.Error
	return errors.As(err, &refused) && refused.Code() == sqlitecode.SQLITE_ERROR &&
		(strings.Contains(refused.Error(), "no such table") || strings.Contains(refused.Error(), "no such column"))
}
