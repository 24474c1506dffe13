package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	channel = "llm_proxy_config" // where the triggers announce versions

	gather     = 5 * time.Millisecond   // announcements this close are one change
	gatherMost = 100 * time.Millisecond // of one change, however many keep coming

	sqlitePoll = 400 * time.Millisecond // a look costs microseconds

	retryFirst = 20 * time.Millisecond
	retryMost  = 2 * time.Second
	steady     = 5 * time.Second // a connection that lived this long was a good one
)

// Watch implements Store. It listens on a connection of its own, and looks at
// the version besides: a pooler between us and the server may swallow what is
// announced, and a dead connection may look alive.
func (p *postgres) Watch(ctx context.Context, changed func()) {
	keepTrying(ctx, alarm(p.log, pgError), func() (time.Duration, error) {
		return p.listen(ctx, changed)
	})
}

// listen hears of changes until the connection or ctx ends. It returns for how
// long it heard.
func (p *postgres) listen(ctx context.Context, changed func()) (time.Duration, error) {
	conn, err := p.connectListener(ctx)
	if err != nil {
		return 0, err
	}
	defer closeSoon(conn)
	began := time.Now()

	// What the pool holds may have died with the connection before this one.
	p.pool.Reset()

	// The order matters: what changes after LISTEN is announced to us, what
	// changed before is seen by the load that changed starts.
	if err := subscribe(ctx, conn); err != nil {
		return 0, err
	}
	seen, err := peekVersion(ctx, conn)
	if err != nil {
		return 0, err
	}
	p.log.Debug("listening for changes of the configuration", "version", seen)
	changed()
	for {
		version, err := p.nextVersion(ctx, conn)
		if err != nil {
			return time.Since(began), err
		}
		if owed := p.owed.Swap(false); version != seen || owed {
			seen = version
			changed()
		}
	}
}

// connectListener opens a connection outside the pool, for good.
func (p *postgres) connectListener(ctx context.Context) (*pgx.Conn, error) {
	cfg := p.pool.Config().ConnConfig
	// Prepared statements would not survive a pooler that swaps servers.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	cfg.RuntimeParams["application_name"] += " listener"
	return pgx.ConnectConfig(ctx, cfg)
}

// subscribe asks for the announcements. A server that refuses, such as a
// standby, leaves us with looking at the version.
func subscribe(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, "LISTEN "+channel)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && !conn.IsClosed() {
		return nil
	}
	return err
}

// nextVersion waits for an announcement, for at most the time between two
// looks, and returns the version there is then.
func (p *postgres) nextVersion(ctx context.Context, conn *pgx.Conn) (int64, error) {
	heard, err := waitForVersion(ctx, conn, p.poll)
	if err != nil || heard == 0 {
		if err == nil {
			heard, err = peekVersion(ctx, conn)
		}
		return heard, err
	}
	// One transaction announces each of its statements; many come in a burst.
	for end := time.Now().Add(gatherMost); time.Now().Before(end); {
		more, err := waitForVersion(ctx, conn, gather)
		if err != nil || more == 0 {
			return heard, err
		}
		heard = more
	}
	return heard, nil
}

// waitForVersion returns the version of the next announcement, or 0 if none
// comes within the time.
func waitForVersion(ctx context.Context, conn *pgx.Conn, within time.Duration) (int64, error) {
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	said, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		version, _ := strconv.ParseInt(said.Payload, 10, 64)
		return version, nil // not a number: 0, and the version is looked at
	case ctx.Err() == nil && waiting.Err() != nil && !conn.IsClosed():
		return 0, nil
	}
	return 0, err
}

// peekVersion looks at the version, and so sees whether the connection lives.
// It is 0 while there are no tables.
func peekVersion(ctx context.Context, conn *pgx.Conn) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err = conn.QueryRow(ctx, "SELECT version FROM config_version WHERE id = 1").Scan(&version)
	var refused *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &refused) && !conn.IsClosed() {
		return 0, nil
	}
	return version, err
}

// closeSoon says good-bye to the server, but does not wait for a dead one.
func closeSoon(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_ = conn.Close(ctx)
}

// Watch implements Store. It looks at the file, which costs little: another
// process's changes are seen as ours are.
func (s *SQLite) Watch(ctx context.Context, changed func()) {
	keepTrying(ctx, alarm(s.log, sqliteError), func() (time.Duration, error) {
		return s.look(ctx, changed)
	})
}

// look compares the file with how it was until it cannot be read or ctx ends.
func (s *SQLite) look(ctx context.Context, changed func()) (time.Duration, error) {
	// data_version is one connection's view of what the others did.
	conn, err := s.reader.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	began := time.Now()
	var file, version int64
	if _, err := moved(ctx, conn, &file, &version); err != nil {
		return 0, err
	}
	changed()

	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Since(began), ctx.Err()
		case <-tick.C:
		}
		news, err := moved(ctx, conn, &file, &version)
		if err != nil {
			return time.Since(began), err
		}
		if owed := s.owed.Swap(false); news || owed {
			changed()
		}
	}
}

// moved reports whether the version is another than before, looking at it
// only if the file is. It is 0 while there are no tables.
func moved(ctx context.Context, conn *sql.Conn, file, version *int64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	before := *file
	if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(file); err != nil || *file == before {
		return false, err
	}
	var now int64
	err := conn.QueryRowContext(ctx, "SELECT version FROM config_version WHERE id = 1").Scan(&now)
	if err != nil && !errors.Is(err, sql.ErrNoRows) && !isNoTable(err) {
		*file = before // so that the next look asks again
		return false, err
	}
	news := now != *version
	*version = now
	return news, nil
}

// alarm logs failures in the words of one database: the first loudly.
func alarm(log *slog.Logger, words func(error) error) func(failures int, err error) {
	return func(failures int, err error) {
		level := slog.LevelDebug
		if failures == 1 {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "changes of the configuration are not heard for now",
			"failures", failures, "error", words(err))
	}
}

// keepTrying runs try again and again until ctx ends, with pauses that grow
// while it fails at once. alarm is told of each failure.
func keepTrying(ctx context.Context, alarm func(failures int, err error), try func() (time.Duration, error)) {
	pause, failures := retryFirst, 0
	for {
		lasted, err := try()
		if ctx.Err() != nil {
			return
		}
		if lasted >= steady {
			pause = retryFirst
		}
		if lasted > 0 {
			failures = 0
		}
		failures++
		alarm(failures, err)

		// Between half and all of it: a fleet must not come back in step.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, retryMost)
	}
}
