package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	forUpdate = " FOR UPDATE" // locks the rows of a SELECT until the transaction ends

	closeTime = 2 * time.Second
)

// postgres is the Store of a fleet.
type postgres struct {
	tables
	pool *pgxpool.Pool
	poll time.Duration
	log  *slog.Logger
	up   *Migrator
}

// openPostgres makes the pool, which connects when it is first asked.
func openPostgres(o Options) (Store, error) {
	cfg, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	// Nobody who asks is in a hurry of milliseconds, but all want to hear of a
	// dead server at once: a connection is looked at each time it is taken.
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("DB_URL: %s", oneLine(err.Error()))
	}
	p := &postgres{pool: pool, poll: o.Poll, log: o.Log, up: &Migrator{postgres: cfg.ConnConfig}}
	p.db, p.sealer = p, o.Sealer
	return p, nil
}

// Kind implements Store.
func (p *postgres) Kind() string { return kindPostgreSQL }

// Migrate implements Store. It asks first whether the server is there at all:
// the answer is owed sooner than a migration is.
func (p *postgres) Migrate(ctx context.Context) error {
	conn, err := p.acquire(ctx, asking.connect)
	if err != nil {
		return err
	}
	conn.Release()
	return p.up.Up(ctx)
}

// Close implements Store. It says good-bye to the server, but does not wait
// long for one that is silent.
func (p *postgres) Close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.pool.Close()
	}()
	limit := time.NewTimer(closeTime)
	defer limit.Stop()
	select {
	case <-closed:
	case <-limit.C: // pgx gives up by itself some seconds later
	}
}

// view implements backend.
func (p *postgres) view(ctx context.Context, patience patience, f func(tx) error) error {
	return p.run(ctx, patience, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// update implements backend.
func (p *postgres) update(ctx context.Context, patience patience, f func(tx) error) error {
	return p.run(ctx, patience, pgx.TxOptions{}, f)
}

func (p *postgres) run(ctx context.Context, patience patience, how pgx.TxOptions, f func(tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience.whole)
	defer cancel()
	conn, err := p.acquire(ctx, patience.connect)
	if err != nil {
		return err
	}
	defer conn.Release()

	t, err := conn.BeginTx(ctx, how)
	if err != nil {
		return pgError(err)
	}
	// After a commit it does nothing; after a failure, or a panic in f, it
	// keeps what f did from being stored.
	defer t.Rollback(ctx) //nolint:errcheck
	if err := f(pgTx{ctx, t}); err != nil {
		return err
	}
	return pgError(t.Commit(ctx))
}

// acquire returns a connection that answered just now.
func (p *postgres) acquire(ctx context.Context, within time.Duration) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, pgError(err)
	}
	return conn, nil
}

// pgTx is a tx of PostgreSQL.
type pgTx struct {
	ctx context.Context
	tx  pgx.Tx
}

func (t pgTx) query(sql string, args ...any) (rows, error) {
	found, err := t.tx.Query(t.ctx, sql, args...)
	if err != nil {
		return nil, pgError(err)
	}
	return pgRows{found}, nil
}

func (t pgTx) exec(sql string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(t.ctx, sql, args...)
	return tag.RowsAffected(), pgError(err)
}

// pgRows are rows with this package's errors.
type pgRows struct{ pgx.Rows }

func (r pgRows) Err() error { return pgError(r.Rows.Err()) }

// pgError puts an error of pgx into this package's words.
func pgError(err error) error {
	if err == nil {
		return nil
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return unavailable(err) // the network, a time limit, or a closed pool
	}
	switch {
	case refused.Code == "23505":
		return ErrDuplicate
	case refused.Code == "42P01" || refused.Code == "42703" || refused.Code == "3F000":
		return errNoTables(refused.Message)
	case passing(refused.Code):
		return unavailable(err)
	case refused.ConstraintName != "":
		return fmt.Errorf("the database refuses it: %s (SQLSTATE %s)", refused.Message, refused.Code)
	}
	return fmt.Errorf("the database reports: %s (SQLSTATE %s)", refused.Message, refused.Code)
}

// passing reports whether an SQLSTATE tells of the server's state and not of
// what was asked: who mends the server needs not change the request.
func passing(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", // connection
		"0A",       // a plan that a migration outdated
		"25",       // read-only: a standby, or a failover under way
		"28", "3D", // our user, its password, the database's name
		"40", "55", "57", // deadlock, lock, shutdown and time limit
		"53", "54", "58", "XX": // resources, limits, system and internal errors
		return true
	}
	return code == "42501" // privileges
}
