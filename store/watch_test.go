package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
)

// follower is a gateway as far as its configuration goes: it loads whenever
// Watch says that something may have changed.
type follower struct {
	version atomic.Int64
	calls   atomic.Int64
	fails   atomic.Int64
	news    chan struct{}
}

// follow watches until the test ends.
func follow(t *testing.T, s store.Store) *follower {
	t.Helper()
	f := &follower{news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Watch(ctx, func() {
			f.calls.Add(1)
			if set, err := s.Load(ctx); err == nil {
				f.version.Store(set.Version)
			} else {
				f.fails.Add(1)
			}
			select {
			case f.news <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Error("Watch does not end with its context")
		}
	})
	return f
}

// reaches waits until the follower is at a version, and returns how long it took.
func (f *follower) reaches(t *testing.T, version int64) time.Duration {
	t.Helper()
	began := time.Now()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for f.version.Load() != version {
		select {
		case <-f.news:
		case <-limit.C:
			t.Fatalf("at version %d after %v, want %d", f.version.Load(), time.Since(began), version)
		}
	}
	return time.Since(began)
}

func TestWatchSeesWhatAnyoneChanges(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Poll = time.Hour // PostgreSQL must hear; SQLite looks as often as it must
		s, other := h.open(t), h.open(t)
		f := follow(t, s)
		f.reaches(t, version(t, s)) // as soon as it watches

		within := func(what string, v int64) {
			t.Helper()
			if took := f.reaches(t, v); took > time.Second {
				t.Errorf("%s was seen after %v", what, took)
			}
		}
		v, err := s.AddProvider(ctx(t), provider("own"))
		if err != nil {
			t.Fatal(err)
		}
		within("our own change", v)
		if v, err = other.AddProvider(ctx(t), provider("other")); err != nil {
			t.Fatal(err)
		}
		within("another gateway's change", v)
		h.edit(t, "UPDATE providers SET weight = weight + 1")
		within("an edit by hand", version(t, s))
		h.edit(t, "UPDATE config_version SET version = version + 10")
		within("a version raised by hand", version(t, s))
	})
}

// A store may be watched before anyone has made its tables: the gateway starts
// while its database is away, and migrates later.
func TestWatchStartsBeforeTheTables(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Poll = 50 * time.Millisecond
		s := h.openBare(t)
		f := follow(t, s)
		<-f.news
		if err := s.Migrate(ctx(t)); err != nil {
			t.Fatal(err)
		}
		f.reaches(t, version(t, s))
		addProvider(t, s, "one")
		f.reaches(t, version(t, s))
	})
}

// A change is announced once. The load that it starts may fail for a reason
// that passes, and then nobody would ask again.
func TestALoadThatFoundNoDatabaseIsAskedForAgain(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Poll = 50 * time.Millisecond
		s := h.open(t)
		f := follow(t, s)
		f.reaches(t, version(t, s))

		h.edit(t, "ALTER TABLE credentials RENAME TO away")
		h.edit(t, "UPDATE config_version SET version = 40")
		for f.fails.Load() == 0 {
			<-f.news
		}
		h.edit(t, "ALTER TABLE away RENAME TO credentials")
		f.reaches(t, 40)
	})
}

func TestABurstOfChangesIsFewLoads(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	s := h.open(t)
	f := follow(t, s)
	f.reaches(t, version(t, s))
	before := f.calls.Load()
	h.edit(t, `DO $$ BEGIN FOR i IN 1..500 LOOP
		INSERT INTO providers (provider_key, api_base) VALUES ('p' || i, 'http://p'); END LOOP; END $$`)
	f.reaches(t, version(t, s))
	if calls := f.calls.Load() - before; calls > 20 {
		t.Errorf("%d loads for one transaction", calls)
	}
}

// The listener is killed again and again in the middle of changes, which are
// announced to nobody meanwhile: each last one must be seen within a second.
func TestWatchCatchesUpWhenItsListenerIsKilled(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	h.options.Poll = time.Hour
	s := h.open(t)
	p := addProvider(t, s, "one")
	f := follow(t, s)
	f.reaches(t, version(t, s))
	for range 4 {
		var last int64
		for i := range 10 {
			v, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.Weight++; return nil })
			if err != nil {
				t.Fatal(err)
			}
			last = v
			if i == 5 {
				h.killListener(t)
			}
		}
		if took := f.reaches(t, last); took > time.Second {
			t.Errorf("caught up after %v", took)
		}
	}
	if f.fails.Load() > 0 {
		t.Errorf("%d loads failed on connections that had died", f.fails.Load())
	}
}

// killListener ends the server's side of the listening connection, once there
// is one: it may be about to come back from being killed before.
func (h *home) killListener(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		var killed int
		err := h.hand.QueryRowContext(ctx(t), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'llm-proxy listener'`).Scan(&killed)
		if err != nil {
			t.Fatal(err)
		}
		if killed > 0 {
			return
		}
	}
	t.Fatal("there is no listener to kill")
}

// R45: behind a pooler nothing is announced: looking at the version must do.
func TestWatchPollsWhereNothingIsAnnounced(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	h.options.Poll = 100 * time.Millisecond
	s := h.open(t)
	h.edit(t, "DROP TRIGGER config_version_changed ON config_version")
	f := follow(t, s)
	f.reaches(t, version(t, s))
	addProvider(t, s, "one")
	if took := f.reaches(t, version(t, s)); took > time.Second {
		t.Errorf("seen after %v", took)
	}
}

// R42: a server that was stopped, or crashed, is listened to again.
func TestWatchOutlivesItsServer(t *testing.T) {
	server := pgtest.NewServer(t)
	h := postgresHome(t, server.URL())
	h.options.Poll = 200 * time.Millisecond
	s := h.open(t)
	f := follow(t, s)
	f.reaches(t, version(t, s))

	for name, end := range map[string]func(testing.TB){"stopped": server.Stop, "killed": server.Kill} {
		end(t)
		began := time.Now()
		_, err := s.AddProvider(ctx(t), provider("while it is away"))
		if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 2*time.Second {
			t.Errorf("%s: a write failed after %v with %v", name, took, err)
		}
		server.Start(t)
		// The change of another gateway, which was up first.
		h.edit(t, "INSERT INTO providers (provider_key, api_base) VALUES ('"+name+"', 'http://x')")
		if took := f.reaches(t, version(t, s)); took > 5*time.Second {
			t.Errorf("%s: caught up after %v", name, took)
		}
		addProvider(t, s, "after-"+name)
	}
}

// R42: a network that swallows everything, without a word, is found out by asking.
func TestWatchNoticesASilentNetwork(t *testing.T) {
	url := pgtest.New(t)
	wire := newWire(t, url)
	h := postgresHome(t, wire.url)
	h.hand = handOn(t, "pgx/v5", url)
	h.options.Poll = 100 * time.Millisecond
	s := h.open(t)
	f := follow(t, s)
	f.reaches(t, version(t, s))

	wire.frozen.Store(true)
	h.edit(t, "INSERT INTO providers (provider_key, api_base) VALUES ('x', 'http://x')")
	began := time.Now()
	_, err := s.AddProvider(ctx(t), provider("into the silence"))
	if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 2*time.Second {
		t.Errorf("a write failed after %v with %v", took, err)
	}
	// Old connections stay silent for good; new ones get through.
	wire.thaw()
	if took := f.reaches(t, 2); took > 5*time.Second {
		t.Errorf("caught up after %v", took)
	}
}

// wire is the network between a store and its server.
type wire struct {
	url    string
	frozen atomic.Bool
	epoch  atomic.Int64 // connections of an earlier one are dead for good
}

func newWire(t *testing.T, url string) *wire {
	t.Helper()
	_, rest, _ := strings.Cut(url, "@")
	target, _, _ := strings.Cut(rest, "/")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: strings.Replace(url, target, listener.Addr().String(), 1)}
	done := make(chan struct{})
	t.Cleanup(func() { close(done); listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			epoch := w.epoch.Load()
			go w.carry(client, server, epoch)
			go w.carry(server, client, epoch)
			go func() { <-done; client.Close(); server.Close() }()
		}
	}()
	return w
}

// carry moves bytes one way; what it may not move it drops.
func (w *wire) carry(from, to net.Conn, epoch int64) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !w.frozen.Load() && epoch == w.epoch.Load() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// thaw lets new connections through.
func (w *wire) thaw() {
	w.epoch.Add(1)
	w.frozen.Store(false)
}

// blackHole is a server that takes connections and never says a word.
func blackHole(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn); conn.Close() }()
		}
	}()
	return fmt.Sprintf("postgresql://user:%s@%s/db?sslmode=disable", canary, listener.Addr())
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	return "postgresql://user:" + canary + "@127.0.0.1:" + strconv.Itoa(port) + "/db"
}
