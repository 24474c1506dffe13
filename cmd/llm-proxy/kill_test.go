package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// rounds is for the long form of the tests that kill: `go test -run Kill ./cmd/llm-proxy -rounds 100`.
var rounds = flag.Int("rounds", 0, "how often the tests named Kill kill, with each store; 0: a few times")

func orRounds(few int) int {
	if *rounds > 0 {
		return *rounds
	}
	return few
}

// TestKillDuringAdminWrites (R37, R36): kill -9 of the gateway at any moment
// loses nothing that the Admin API has acknowledged, leaves nothing half
// written and never takes the version back, with either store. What is there
// serves as soon as the next process has started.
func TestKillDuringAdminWrites(t *testing.T) {
	if _, err := gatewaytest.Binary(); err != nil { // its time is not the gateway's
		t.Fatal(err)
	}
	f := func(name string, rounds int, env func(t *testing.T) map[string]string, settled func(t *testing.T, url string)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := env(t)
			settings["LOG_LEVEL"], settings["OVERLOAD_DELAY_MS"] = "error", "0"
			options := gatewaytest.Options{Env: settings, Dir: t.TempDir(), MayFail: true}
			l := newNotebook(4)
			var windows []time.Duration
			var acknowledged int64
			for round := range rounds {
				began := time.Now()
				g := gatewaytest.Start(t, options)
				windows = append(windows, time.Since(began))
				l.at(g.URL, g.AdminKey)
				for _, wrong := range l.check() {
					t.Errorf("before round %d: %s", round, wrong)
				}
				l.checkKeys(t)
				writers := l.write(nil)
				l.reaches(t, 1+rand.Int64N(20))
				<-time.After(rand.N(5 * time.Millisecond)) // any moment of a write
				g.Kill(t)
				writers.Wait()
				acknowledged += l.acknowledged.Load()
				l.client.CloseIdleConnections()
				settled(t, settings["DB_URL"])
			}
			g := gatewaytest.Start(t, options)
			l.at(g.URL, g.AdminKey)
			for _, wrong := range l.check() {
				t.Errorf("at the end: %s", wrong)
			}
			l.client.CloseIdleConnections()
			if acknowledged < int64(rounds) {
				t.Errorf("%d writes were acknowledged in %d rounds: nothing was tried", acknowledged, rounds)
			}
			slices.Sort(windows)
			t.Logf("%d kills, %d writes acknowledged; it served again after %v (median), %v (most)",
				rounds, acknowledged, windows[len(windows)/2], windows[len(windows)-1])
		})
	}
	f("sqlite", orRounds(5), func(*testing.T) map[string]string { return map[string]string{} },
		func(*testing.T, string) {})
	f("postgresql", orRounds(4), func(t *testing.T) map[string]string { return map[string]string{"DB_URL": pgtest.New(t)} },
		awaitNoBackends)
}

// checkKeys asks with every client key of the notebook: those that are there
// are known as soon as the gateway serves, the others are not.
func (l *notebook) checkKeys(t *testing.T) {
	t.Helper()
	for _, e := range l.rows {
		if e.table != "credentials" {
			continue
		}
		want := http.StatusUnauthorized
		if e.is != 0 {
			want = http.StatusOK
		}
		q, err := http.NewRequest("GET", l.url+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+e.key())
		resp, err := l.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want && resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("the key of %s: %d, want %d", e.name, resp.StatusCode, want)
		}
	}
}

// awaitNoBackends waits until the database has noticed that its client died:
// until then a commit may still be under way.
func awaitNoBackends(t *testing.T, url string) {
	t.Helper()
	ctx := context.Background()
	db := connect(t, url)
	defer db.Close(ctx)
	left := -1
	if !soon(func() bool {
		err := db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&left)
		return err == nil && left == 0
	}) {
		t.Fatalf("%d backends of a dead gateway are left", left)
	}
}

// TestKillDatabaseDuringAdminWrites (R42): kill -9 of PostgreSQL, of all its
// processes at once, loses nothing that the Admin API has acknowledged. The
// gateway runs on and serves what is there soon after the database is back.
func TestKillDatabaseDuringAdminWrites(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{
		"DB_URL": server.URL(), "LOG_LEVEL": "error", "CONFIG_POLL_SECS": "1", "OVERLOAD_DELAY_MS": "0",
	}})
	l := newNotebook(4)
	l.at(g.URL, g.AdminKey)
	if wrong := l.check(); wrong != nil {
		t.Fatal(wrong)
	}
	for round := range orRounds(2) {
		writers := l.write(nil)
		l.reaches(t, 1+rand.Int64N(20))
		<-time.After(rand.N(5 * time.Millisecond)) // any moment of a write
		server.Crash(t)
		writers.Wait()
		server.Start(t)
		back := time.Now()
		if !soon(func() bool { status, _, err := l.call("GET", "/providers", nil); return err == nil && status == 200 }) {
			t.Fatal("the store does not come back")
		}
		for _, wrong := range l.check() {
			t.Errorf("after round %d: %s", round, wrong)
		}
		g.AwaitMetric(t, "llm_proxy_config_version", float64(l.base))
		if took := time.Since(back); took > 5*time.Second {
			t.Errorf("round %d: what is there serves %v after the database is back", round, took)
		}
		l.checkKeys(t)
	}
	l.client.CloseIdleConnections()
}
