package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
	"llmproxy/usage"
)

// asking is clients that ask a gateway until it is killed, each request with an
// id that no other has, and note what was answered.
type asking struct {
	clients sync.WaitGroup

	mu       sync.Mutex // guards what follows
	answered map[string]time.Time
}

// ask starts n clients; each ends with its first request that fails.
func (a *asking) ask(g *gatewaytest.Gateway, key string, round, n int) {
	for c := range n {
		a.clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for i := 0; ; i++ {
				id := fmt.Sprintf("r-%d-%d-%d", round, c, i)
				if a.once(client, g.URL, key, id) != nil {
					return
				}
				a.mu.Lock()
				a.answered[id] = time.Now()
				a.mu.Unlock()
			}
		})
	}
}

func (a *asking) once(client *http.Client, url, key, id string) error {
	q, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+key)
	q.Header.Set("X-Request-Id", id)
	resp, err := client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	_, err = resp.Body.Read(make([]byte, 1))
	return err
}

func (a *asking) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.answered)
}

// collector is a usage.Store that keeps the ids of requests.
type collector struct {
	mu  sync.Mutex // guards ids
	ids map[string]bool
}

// Ship implements usage.Store.
func (c *collector) Ship(_ context.Context, b usage.Batch) (usage.Shipped, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range b.Records {
		c.ids[r.RequestID] = true
	}
	return usage.Shipped{Position: b.To}, nil
}

// Forget implements usage.Store.
func (c *collector) Forget(context.Context, uint64) error { return nil }

// Tidy implements usage.Store.
func (c *collector) Tidy(context.Context) (bool, error) { return false, nil }

// readJournals reads a copy of what lies in a usage directory, as the next
// process would, into the collector.
func (c *collector) readJournals(t *testing.T, dir string) {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l := usage.NewLedger(usage.Options{Dir: copied, Store: c})
	if !soon(func() bool {
		left, err := filepath.Glob(filepath.Join(copied, "*", "*.seg"))
		return err == nil && len(left) == 0
	}) {
		t.Error("the journals are not read to their end")
	}
	l.Close(context.Background())
	for _, reason := range usage.DropReasons {
		if n := l.Dropped(reason); n > 0 && reason != usage.DropTorn {
			t.Errorf("%d records of the journal: %s", n, reason)
		}
	}
}

// TestKillLeavesTheLedgerWhole (R36, R38) kills the program under load, again and
// again, and starts it anew: whatever was in a journal then is in the database
// once, nothing is there twice, and of what clients saw answered only the last
// moments before a kill may be missing. With -rounds 100 it
// takes minutes.
func TestKillLeavesTheLedgerWhole(t *testing.T) {
	f := func(name, url string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, key := t.TempDir(), gatewaytest.NewCanary("client-of-the-ledger")
			o := gatewaytest.Options{Dir: dir, Env: map[string]string{"LOG_LEVEL": "warn", "OVERLOAD_DELAY_MS": "0"}}
			if url != "" {
				o.Env["DB_URL"] = url
			}
			fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
			a := &asking{answered: map[string]time.Time{}}
			inJournal := &collector{ids: map[string]bool{}}
			killed := make([]time.Time, orRounds(4))
			for round := range killed {
				g := gatewaytest.Start(t, o)
				if round == 0 {
					g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), "model_mapping": map[string]any{"m": "m"}})
					g.AddCredential(t, map[string]any{"name": "c", "key": key})
				}
				want := a.len() + 50 + rand.IntN(300)
				a.ask(g, key, round, 8)
				if !soon(func() bool { return a.len() >= want }) {
					t.Fatal("the gateway does not answer")
				}
				killed[round] = time.Now()
				g.Kill(t)
				a.clients.Wait()
				inJournal.readJournals(t, filepath.Join(dir, usageDir))
			}

			// What is left comes in with the last start.
			g := gatewaytest.Start(t, o)
			if !soon(func() bool {
				left, err := os.ReadDir(filepath.Join(dir, usageDir))
				return err == nil && len(left) <= 1 // its own
			}) {
				t.Error("journals are left")
			}
			if code := g.Stop(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			checkLedger(t, openUsage(t, url, dir), a, inJournal, killed)
		})
	}
	f("sqlite", "")
	f("postgresql", pgtest.New(t))
}

// openUsage opens what a gateway, which has ended, wrote into the database, or
// without a url into its directory.
func openUsage(t *testing.T, url, dir string) *store.Usage {
	t.Helper()
	s, err := store.Open(store.Options{URL: url, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	u := store.OpenUsage(s, store.UsageOptions{Dir: dir})
	t.Cleanup(func() { u.Close(); s.Close() })
	return u
}

// storedRequests are the requests whose record is stored; none may be there twice.
func storedRequests(t *testing.T, u *store.Usage) map[string]bool {
	t.Helper()
	seen, after := map[string]bool{}, store.UsageCursor{}
	for {
		page, err := u.Latest(context.Background(), store.UsageFilter{}, after, store.MaxUsageRows)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			if seen[r.RequestID] {
				t.Errorf("%s is stored twice", r.RequestID)
			}
			seen[r.RequestID] = true
		}
		if len(page) < store.MaxUsageRows {
			return seen
		}
		last := page[len(page)-1]
		after = store.UsageCursor{At: last.At, ID: last.ID}
	}
}

// summedRequests is how many requests the sums have.
func summedRequests(t *testing.T, u *store.Usage) int {
	t.Helper()
	sums, err := u.Sums(context.Background(), store.UsageQuery{})
	if err != nil || len(sums) != 1 {
		t.Fatalf("%d sums, %v", len(sums), err)
	}
	return int(sums[0].Requests)
}

// unsafeTime is how long before a kill an answer may have been given whose record
// was not on the disk yet: a batch waits 50 ms, then the disk takes its time.
const unsafeTime = 3 * time.Second

func checkLedger(t *testing.T, u *store.Usage, a *asking, inJournal *collector, killed []time.Time) {
	t.Helper()
	stored := storedRequests(t, u)
	for id := range inJournal.ids {
		if !stored[id] {
			t.Errorf("%s was in the journal, and is not stored", id)
		}
	}
	missing, ahead := 0, time.Duration(0)
	for id, at := range a.answered {
		if stored[id] {
			continue
		}
		missing++
		var round int
		if _, err := fmt.Sscanf(id, "r-%d-", &round); err != nil {
			t.Fatal(err)
		}
		ahead = max(ahead, killed[round].Sub(at))
	}
	if ahead > unsafeTime {
		t.Errorf("an answer that was given %v before a kill is not stored", ahead)
	}
	if sums := summedRequests(t, u); sums != len(stored) {
		t.Errorf("%d records, %d in the sums", len(stored), sums)
	}
	t.Logf("%d kills: %d answered, %d records stored, %d read from journals at kills; %d answers missing, the earliest %v before its kill",
		len(killed), len(a.answered), len(stored), len(inJournal.ids), missing, ahead)
}

// R41: while the database is away the journal holds every record, also over a
// restart; when it is back all of them come in.
func TestTheLedgerHoldsThroughAnOutage(t *testing.T) {
	server := pgtest.NewServer(t)
	fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
	dir, key := t.TempDir(), "sk-of-the-client-in-the-outage"
	env := map[string]string{"DB_URL": server.URL(), "DATA_DIR": dir}
	g := startInProcess(t, env)
	h := adminHand{g}
	h.add(t, "providers", fields{"provider_key": "p", "api_base": fake.URL(), "api_key": "k", "model_mapping": map[string]string{"m": "x"}})
	h.add(t, "credentials", fields{"name": "c", "key": key})
	a := &asking{answered: map[string]time.Time{}}
	round := func(n int) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for i := range 50 {
			if err := a.once(client, g.url, key, fmt.Sprintf("r-%d-%d", n, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(0)
	if !soon(func() bool { return g.metric(t, "llm_proxy_usage_stored_total") == 50 }) {
		t.Fatal("the records are not stored")
	}
	server.Kill(t)
	round(1)
	if !soon(func() bool { return g.metric(t, "llm_proxy_usage_queue_length") == 0 }) {
		t.Fatal("the records do not come to the disk")
	}
	g.stopAndWait(t)
	g = startInProcess(t, env)
	round(2)
	server.Start(t)
	if !soon(func() bool { return g.metric(t, "llm_proxy_usage_stored_total") == 100 }) {
		t.Fatal("the records do not come in when the database is back")
	}
	g.stopAndWait(t)

	db, err := sql.Open("pgx/v5", server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows, ids int
	if err := db.QueryRow("SELECT count(*), count(DISTINCT request_id) FROM usage_records").Scan(&rows, &ids); err != nil || rows != 150 || ids != 150 {
		t.Errorf("%d records of %d requests, %v", rows, ids, err)
	}
}

// Without the ledger nothing is written, and its metrics are not shown.
func TestTheLedgerCanBeOff(t *testing.T) {
	fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
	dir, key := t.TempDir(), "sk-of-the-client-without-a-ledger"
	g := startInProcess(t, map[string]string{"DATA_DIR": dir, "USAGE_LEDGER": "off"})
	h := adminHand{g}
	h.add(t, "providers", fields{"provider_key": "p", "api_base": fake.URL(), "api_key": "k", "model_mapping": map[string]string{"m": "x"}})
	h.add(t, "credentials", fields{"name": "c", "key": key})
	client := &http.Client{Transport: &http.Transport{}}
	if err := (&asking{}).once(client, g.url, key, "r"); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
	resp, err := g.client.Get(g.url + "/metrics")
	if page := read(t, resp, err); strings.Contains(page, "llm_proxy_usage_stored_total") {
		t.Error("the page shows a ledger")
	}
	g.stopAndWait(t)
	if found, err := filepath.Glob(filepath.Join(dir, "usage*")); err != nil || len(found) > 0 {
		t.Errorf("it wrote %v, %v", found, err)
	}
}
