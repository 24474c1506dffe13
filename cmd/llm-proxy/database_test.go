package main

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/pgtest"
)

const steadyKey = "sk-steady-client-number-0"

// startUnderLoad runs a gateway on a database, with a provider, a client key
// and clients that ask without pause until the crowd is stopped.
func startUnderLoad(t *testing.T, url string) (*inProcess, *crowd) {
	t.Helper()
	provider := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	provider.Handle(unhurried)
	g := startInProcess(t, map[string]string{"DB_URL": url, "CONFIG_POLL_SECS": "1", "LOG_LEVEL": "debug"})
	h := adminHand{g}
	h.add(t, "providers", fields{"provider_key": "p", "api_base": provider.URL(), "api_key": "k", "model_mapping": map[string]string{"steady": "x"}})
	h.add(t, "credentials", fields{"name": "steady", "key": steadyKey})
	load := newCrowd(g.url)
	for i := range 16 {
		load.steady(steadyKey, "steady", i%2 == 0)
	}
	return g, load
}

// endLoad ends both; no client may have noticed anything.
func endLoad(t *testing.T, g *inProcess, load *crowd) {
	t.Helper()
	for _, failure := range load.stop() {
		t.Error(failure)
	}
	if load.asked.Load() < 100 {
		t.Errorf("only %d requests were made", load.asked.Load())
	}
	g.stopAndWait(t)
}

// TestDatabaseThatIsSlow (R42): with a second of delay on every word from the
// database a change made elsewhere comes to serve all the same, after some
// fifteen seconds. It runs with -rounds alone; TestDatabaseOutageUnderLoad has
// the rest.
func TestDatabaseThatIsSlow(t *testing.T) {
	if *rounds == 0 {
		t.Skip("a quarter of a minute: -rounds 1")
	}
	t.Parallel()
	server := pgtest.NewServer(t)
	wire := newWire(t, server.URL())
	g, load := startUnderLoad(t, wire.url(server.URL()))
	wire.delay.Store(int64(time.Second))
	raise(t, server)
	servesSlowly(t, g, versionOf(t, server))
	wire.delay.Store(0)
	endLoad(t, g, load)
}

// servesSlowly waits longer than other tests do for a version.
func servesSlowly(t *testing.T, g *inProcess, version int64) {
	t.Helper()
	began := time.Now()
	for g.served(t) < version && time.Since(began) < time.Minute {
		<-time.After(100 * time.Millisecond)
	}
	if g.served(t) < version {
		t.Errorf("version %d does not come to serve; %d serves", version, g.served(t))
	}
	t.Logf("a change served after %v", time.Since(began))
}

// TestDatabaseLocks (R43): who holds a lock and goes away holds up neither
// clients nor, for longer than a limit, an administrator, and leaves no heap
// of waiting connections in the database. Afterwards all is as it was.
func TestDatabaseLocks(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	g, load := startUnderLoad(t, url)
	ctx := context.Background()
	holder := connect(t, url)
	defer holder.Close(ctx)

	// busy are requests that must be told to come again, besides the writes.
	f := func(lock string, busy ...string) {
		t.Helper()
		for _, statement := range []string{"BEGIN", lock} {
			if _, err := holder.Exec(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		var asking sync.WaitGroup
		ask := func(method, path string, body any) {
			want := 200
			if body != nil || slices.Contains(busy, path) {
				want = 503
			}
			asking.Go(func() {
				began := time.Now()
				status, answer := g.admin(t, method, path, body)
				detail, _ := answer["detail"].(string)
				if took := time.Since(began); status != want || status == 503 && detail == "" || took > 5*time.Second {
					t.Errorf("%s: %s %s: %d %v after %v, want %d within 5 s", lock, method, path, status, answer, took, want)
				}
			})
		}
		for range 3 {
			ask("PATCH", "/providers/1", fields{"weight": 2})
			ask("POST", "/credentials", fields{"name": "late"})
			ask("GET", "/credentials", nil)
			ask("GET", "/providers", nil)
			ask("POST", "/config/reload", nil)
		}
		asking.Wait()
		load.goesOn(t, 50)
		var connections int
		if err := holder.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&connections); err != nil {
			t.Fatal(err)
		}
		if connections > 2*9 { // a pool of 8 and the listener, and what the end of is on its way
			t.Errorf("%s: %d connections to the database", lock, connections)
		}
		if _, err := holder.Exec(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		version := adminHand{g}.set(t, "providers", 1, fields{"weight": 3})
		g.reaches(t, version)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: the first change after it served after %v", lock, took)
		}
	}
	f("UPDATE providers SET weight = 9")
	f("LOCK TABLE providers IN ACCESS EXCLUSIVE MODE", "/providers", "/config/reload")
	endLoad(t, g, load)
}
