package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"llmproxy/migrations"
)

const migrateTime = 2 * time.Minute // for all steps together

// lockTime is how long a migration waits for a lock that another holds. Only
// tests change it.
var lockTime = 5 * time.Second

// Migrator moves the tables between the versions that this binary knows, one
// step or all of them, as the command `llm-proxy migrate` does by hand.
//
// Each step is one transaction with the note that it is done: it is there
// whole or not at all. Version 0 is a database without any of our tables. A
// Migrator holds no connection between calls.
type Migrator struct {
	postgres *pgx.ConnConfig // nil: SQLite
	sqlite   string          // path of the file
	kind     string          // of the migrations; empty: those of the database's kind
}

// OpenMigrator returns the Migrator of the store that the options name. As
// Open it waits for no network.
func OpenMigrator(o Options) (*Migrator, error) {
	if o.URL != "" {
		cfg, err := parseURL(o.URL)
		if err != nil {
			return nil, err
		}
		return &Migrator{postgres: cfg.ConnConfig}, nil
	}
	path, err := prepareFile(o.Dir)
	if err != nil {
		return nil, err
	}
	db := openFile(path, 1)
	defer db.Close()
	return &Migrator{sqlite: path}, checkFile(db, path)
}

// Up applies every migration that is missing. There being none is no error.
func (m *Migrator) Up(ctx context.Context) error {
	return m.run(ctx, func(s *session) error {
		err := s.climb()
		if err == nil || errors.Is(err, migrate.ErrNoChange) {
			return nil
		}
		err = s.explain(err)
		if now, dirty, lookErr := s.look(); !errors.Is(err, ErrUnavailable) && lookErr == nil && now == s.newest && !dirty {
			return nil // another process was a moment faster
		}
		return err
	})
}

// Down takes the newest migration that is applied back, with the data that
// only it has room for.
func (m *Migrator) Down(ctx context.Context) error {
	return m.run(ctx, func(s *session) error {
		now, _, err := s.look()
		if err != nil {
			return s.explain(err)
		}
		if now == 0 {
			return errors.New("migrate down: no migration is applied")
		}
		return s.explain(s.Steps(-1))
	})
}

// Version returns the newest migration that is applied, and whether it is
// marked as interrupted.
func (m *Migrator) Version(ctx context.Context) (version int, dirty bool, err error) {
	err = m.run(ctx, func(s *session) (err error) {
		version, dirty, err = s.look()
		return s.inWords(err)
	})
	return version, dirty, err
}

// Force notes that the tables are at a version, without touching them.
func (m *Migrator) Force(ctx context.Context, version int) error {
	if version < 0 || version > migrations.Newest() {
		return fmt.Errorf("migrate force: this binary knows the versions 0 (no tables) to %d", migrations.Newest())
	}
	return m.run(ctx, func(s *session) error {
		if version == 0 {
			version = database.NilVersion
		}
		return s.explain(s.Force(version))
	})
}

// session is golang-migrate at work on one database.
type session struct {
	*migrate.Migrate
	driver  database.Driver
	newest  int
	inWords func(error) error
}

// run connects, lets f work and disconnects.
func (m *Migrator) run(ctx context.Context, f func(*session) error) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	kind, inWords, connect := kindSQLite, sqliteError, m.connectSQLite
	if m.postgres != nil {
		kind, inWords, connect = kindPostgreSQL, lockedOr(pgError), m.connectPostgres
	}
	if m.kind != "" {
		kind = m.kind
	}

	driver, finish, err := connect(ctx)
	if err == nil {
		defer finish()
		var s *session
		if s, err = newSession(kind, driver, inWords); err == nil {
			err = f(s)
		}
	} else {
		err = fmt.Errorf("migrate: %w", inWords(withoutQuery(err)))
	}
	if err != nil && ctx.Err() != nil {
		return unavailable(fmt.Errorf("migrate: %w", context.Cause(ctx)))
	}
	return err
}

func newSession(kind string, driver database.Driver, inWords func(error) error) (*session, error) {
	folder, err := migrations.FS(kind)
	if err != nil {
		return nil, err
	}
	source, err := iofs.New(folder, ".")
	if err != nil {
		return nil, err
	}
	m, err := migrate.NewWithInstance("embedded", source, kind, driver)
	if err != nil {
		return nil, err
	}
	m.LockTimeout = 2 * lockTime // the database's own limit ends it first
	return &session{Migrate: m, driver: driver, newest: migrations.NewestOf(kind), inWords: func(err error) error { return inWords(withoutQuery(err)) }}, nil
}

// climb applies what is missing, one migration at a time: Up reads the next
// ones ahead, and when one fails it leaves those readers behind for good.
func (s *session) climb() error {
	for {
		now, _, err := s.look()
		if err != nil {
			return err
		}
		if now >= s.newest {
			return s.Up() // nothing, or the reason why this binary can do nothing
		}
		if err := s.Steps(1); err != nil {
			if after, _, lookErr := s.look(); lookErr == nil && after > now {
				continue // another process was a moment faster
			}
			return err
		}
	}
}

// look returns the version that is noted; none is 0.
func (s *session) look() (version int, dirty bool, err error) {
	version, dirty, err = s.driver.Version()
	return max(version, 0), dirty, err
}

// explain finds the words for a failed step: what state the database is in,
// and which command leads out of it.
func (s *session) explain(err error) error {
	var dirty migrate.ErrDirty
	switch {
	case err == nil:
		return nil
	case errors.Is(err, migrate.ErrLocked) || errors.Is(err, migrate.ErrLockTimeout):
		return errMigrating()
	case errors.As(err, &dirty):
		return errDirty(dirty.Version)
	case errors.Is(err, fs.ErrNotExist): // the migration of the noted version
		now, _, _ := s.look()
		return fmt.Errorf("migrate: the database is at version %d, this binary knows versions up to %d: upgrade the binary, or run `llm-proxy migrate down` with the newer one", now, s.newest)
	}
	return fmt.Errorf("migrate: %w", s.inWords(err))
}

// errDirty is for a version that the golang-migrate command left as dirty.
func errDirty(version int) error {
	before := version - 1
	if version < 1 { // on the way down to nothing
		version, before = 1, 0
	}
	return fmt.Errorf("migrate: the database is marked as interrupted (dirty) at version %d; a migration is there whole or not at all: if the tables of version %d are there, run `llm-proxy migrate force %d`, if not, `llm-proxy migrate force %d`, then start again",
		version, version, version, before)
}

// errMigrating is for a lock that a migration waits for in vain.
func errMigrating() error {
	return unavailable(fmt.Errorf("migrate: another session has held a lock on the tables, or on migrating them, for %s; if no other gateway is migrating, find the session in pg_locks and end it", lockTime))
}

// lockedOr recognises that lock among the errors of PostgreSQL.
func lockedOr(words func(error) error) func(error) error {
	return func(err error) error {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "55P03" {
			return errMigrating()
		}
		return words(err)
	}
}

// withoutQuery takes golang-migrate's wrapping off an error, which would quote
// the whole migration.
func withoutQuery(err error) error {
	var value database.Error
	if errors.As(err, &value) && value.OrigErr != nil {
		return value.OrigErr
	}
	var pointer *database.Error
	if errors.As(err, &pointer) && pointer.OrigErr != nil {
		return pointer.OrigErr
	}
	return err
}

// connectPostgres opens golang-migrate's driver. The driver knows no context,
// so that ctx ends its work by closing the connection under it.
func (m *Migrator) connectPostgres(ctx context.Context) (database.Driver, func(), error) {
	ctx, cut := context.WithCancel(ctx)
	cfg := m.postgres.Copy()
	cfg.DialFunc = cutBy(ctx, cfg.DialFunc)
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", lockTime.Milliseconds()))
		return err
	}))
	db.SetMaxOpenConns(1)
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{})
	if err != nil {
		cut()
		db.Close()
		return nil, nil, err
	}
	finish := func() {
		// Behind a pooler the session outlives us.
		_ = driver.Run(strings.NewReader("RESET lock_timeout"))
		_ = driver.Close() // and db with it
		cut()
	}
	return &wholeSteps{Driver: driver}, finish, nil
}

// cutBy makes connections that do not outlive ctx, nor does their making.
func cutBy(ctx context.Context, dial pgconn.DialFunc) pgconn.DialFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		dialing, stop := context.WithCancel(dialing)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		conn, err := dial(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}
}

// connectSQLite opens golang-migrate's driver on a connection of its own.
func (m *Migrator) connectSQLite(context.Context) (database.Driver, func(), error) {
	db := openFile(m.sqlite, 1, "_txlock=immediate")
	driver, err := migratesqlite.WithInstance(db, &migratesqlite.Config{})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return &wholeSteps{Driver: driver}, func() { _ = driver.Close() }, nil
}
