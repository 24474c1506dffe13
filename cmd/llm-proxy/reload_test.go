package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/pgtest"
)

func hashOf(key string) string { return config.HashKey(key) }

// TestReloadUnderLoad (R30, R45) changes the configuration a thousand times, by every road
// that leads there, while 64 clients ask without pause. As long as a provider
// of the model and the client's key are there, no request fails.
func TestReloadUnderLoad(t *testing.T) {
	changes, polled := 1000, 6
	if testing.Short() {
		changes, polled = 100, 1
	}
	f := newFleet(t)
	before := goleak.IgnoreCurrent()
	g := startInProcess(t, map[string]string{"DB_URL": f.url, "CONFIG_POLL_SECS": "1", "LOG_LEVEL": "warn"})
	f.furnish(t, g)

	load := newCrowd(g.url)
	for i := range 64 {
		load.steady(fmt.Sprintf("sk-steady-client-number-%d", i%8), "steady", i%2 == 0)
	}
	for _, guest := range f.guests {
		load.guest(guest)
	}
	roads := []hand{adminHand{g}, reloadHand{sqlHand{f.db, true}, g}, sqlHand{f.db, false}}
	began := time.Now()
	for i := range changes {
		f.change(t, roads[rand.IntN(len(roads))], g)
		switch {
		case i%(changes/polled) == changes/polled/2:
			// R45: nobody hears of this one.
			version := f.change(t, sqlHand{f.db, true}, g)
			if took := g.reaches(t, version); took > 3*time.Second {
				t.Errorf("a change that only the poll could see served after %v", took)
			}
		case i == changes/2:
			f.endListener(t)
			version := f.change(t, sqlHand{f.db, false}, g)
			if took := g.reaches(t, version); took > time.Second {
				t.Errorf("without its listener the gateway caught up after %v", took)
			}
		}
	}
	took := time.Since(began)
	failures := load.stop()
	t.Logf("%d requests, %d failed, over %d changes in %v", load.asked.Load(), load.failed.Load(), changes, took)
	for _, failure := range failures {
		t.Error(failure)
	}

	f.checkQuiet(t, g)
	g.stopAndWait(t)
	f.db.Close(context.Background())
	for _, p := range f.providers {
		if !soon(func() bool { return p.Open() == 0 }) {
			t.Errorf("%d connections to a provider are open after the end", p.Open())
		}
	}
	goleak.VerifyNone(t, append(eternal, before)...)
}

// eternal are goroutines of fasthttp that end late or never.
var eternal = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // sleeps 10 s between two looks
}

// maxRows bounds what comes and goes, of each kind: a thousand changes are to
// be of one configuration, not of one that grows.
const maxRows = 10

// fleet is the database, the providers and the rows that change.
type fleet struct {
	url       string
	db        *pgx.Conn // of who edits by SQL
	providers []*fakeprovider.Provider
	guests    []*guest

	rock      int64          // the row that is always there
	rows      map[int64]int  // provider rows that come and go: id to the index in providers
	extras    map[int64]bool // credentials that nobody uses
	steady    []int64        // credentials of the steady clients
	guestKeys map[*guest]int64
	guestRows map[*guest]int64
	made      int // rows so far, for names
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		url: pgtest.New(t), rows: map[int64]int{}, extras: map[int64]bool{},
		guestKeys: map[*guest]int64{}, guestRows: map[*guest]int64{},
	}
	var err error
	if f.db, err = pgx.Connect(context.Background(), f.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.db.Close(context.Background()) })
	for range 4 {
		p := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
		p.Handle(unhurried)
		f.providers = append(f.providers, p)
	}
	for i := range 4 {
		g := &guest{key: fmt.Sprintf("sk-guest-number-%d-0123456789", i), model: fmt.Sprintf("guest-%d", i), stream: i%2 == 0}
		g.state.Store(presence{})
		f.guests = append(f.guests, g)
	}
	return f
}

// unhurried answers as models do, slower than configurations change: every
// request lives through some changes.
func unhurried(r *fakeprovider.Request) fakeprovider.Answer {
	a := fakeprovider.OpenAI(r)
	a.Delay, a.Gap = 100*time.Millisecond, 50*time.Millisecond
	return a
}

// furnish declares what is there from the beginning.
func (f *fleet) furnish(t *testing.T, g *inProcess) {
	t.Helper()
	h := adminHand{g}
	f.rock, _ = h.add(t, "providers", f.provider(0, "steady"))
	for i := range 8 {
		id, _ := h.add(t, "credentials", fields{"name": fmt.Sprintf("steady-%d", i), "key": fmt.Sprintf("sk-steady-client-number-%d", i)})
		f.steady = append(f.steady, id)
	}
	for _, guest := range f.guests {
		f.toggleGuestKey(t, h, g, guest)
		f.toggleGuestModel(t, h, g, guest)
	}
}

// provider is a row for the provider at i.
func (f *fleet) provider(i int, models ...string) fields {
	f.made++
	mapping := map[string]string{}
	for _, m := range models {
		mapping[m] = m + "-upstream"
	}
	return fields{
		"provider_key": fmt.Sprintf("row-%d", f.made), "api_base": f.providers[i].URL(), "api_key": "sk-provider",
		"model_mapping": mapping, "weight": 1 + rand.IntN(5), "priority": rand.IntN(2),
	}
}

// change makes one change that leaves the steady clients what they need.
func (f *fleet) change(t *testing.T, h hand, g *inProcess) (version int64) {
	t.Helper()
	switch rand.IntN(12) {
	case 0, 1:
		if len(f.rows) >= maxRows {
			break
		}
		i := rand.IntN(len(f.providers))
		var id int64
		id, version = h.add(t, "providers", f.provider(i, "steady", "other"))
		f.rows[id] = i
		return version
	case 2:
		return h.set(t, "providers", f.rock, fields{"weight": rand.IntN(4), "priority": rand.IntN(3)})
	case 3:
		return h.set(t, "credentials", f.steady[rand.IntN(len(f.steady))], fields{"rate_limit": 1_000_000 + rand.IntN(1000)})
	case 4:
		return f.toggleGuestKey(t, h, g, f.guests[rand.IntN(len(f.guests))])
	case 5:
		return f.toggleGuestModel(t, h, g, f.guests[rand.IntN(len(f.guests))])
	case 6:
		if len(f.extras) >= maxRows {
			break
		}
		var id int64
		f.made++
		id, version = h.add(t, "credentials", fields{"name": fmt.Sprintf("extra-%d", f.made), "key": config.NewKey()})
		f.extras[id] = true
		return version
	case 7:
		for id := range f.extras {
			if rand.IntN(2) == 0 {
				return h.set(t, "credentials", id, fields{"is_enabled": rand.IntN(2) == 0})
			}
			delete(f.extras, id)
			return h.remove(t, "credentials", id)
		}
	}
	return f.changeRow(t, h)
}

// changeRow changes or removes one of the provider rows that come and go.
func (f *fleet) changeRow(t *testing.T, h hand) int64 {
	t.Helper()
	for id := range f.rows {
		switch rand.IntN(5) {
		case 0:
			return h.set(t, "providers", id, fields{"weight": rand.IntN(5)})
		case 1:
			return h.set(t, "providers", id, fields{"priority": rand.IntN(3)})
		case 2:
			return h.set(t, "providers", id, fields{"is_enabled": rand.IntN(2) == 0})
		case 3:
			return h.set(t, "providers", id, fields{"provider_params": map[string]string{}, "api_key": fmt.Sprintf("sk-provider-%d", rand.IntN(9))})
		default:
			delete(f.rows, id)
			return h.remove(t, "providers", id)
		}
	}
	return h.set(t, "providers", f.rock, fields{"weight": 1})
}

// toggleGuestKey takes a guest's key away or gives it back.
func (f *fleet) toggleGuestKey(t *testing.T, h hand, g *inProcess, who *guest) (version int64) {
	t.Helper()
	who.change(func(p *presence) {
		if p.key {
			version = h.remove(t, "credentials", f.guestKeys[who])
		} else {
			f.guestKeys[who], version = h.add(t, "credentials", fields{"name": "guest of " + who.model, "key": who.key})
		}
		p.key = !p.key
		g.reaches(t, version)
	})
	return version
}

// toggleGuestModel takes the only provider of a guest's model away or gives it
// back.
func (f *fleet) toggleGuestModel(t *testing.T, h hand, g *inProcess, who *guest) (version int64) {
	t.Helper()
	who.change(func(p *presence) {
		if p.model {
			version = h.remove(t, "providers", f.guestRows[who])
		} else {
			f.guestRows[who], version = h.add(t, "providers", f.provider(rand.IntN(len(f.providers)), who.model))
		}
		p.model = !p.model
		g.reaches(t, version)
	})
	return version
}

// endListener ends the backend that the gateway listens on, as a failover or
// an administrator does.
func (f *fleet) endListener(t *testing.T) {
	t.Helper()
	tag, err := f.db.Exec(context.Background(),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%listener'")
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("ended %d listeners: %v", tag.RowsAffected(), err)
	}
}

// checkQuiet looks at what is left when nobody asks any more: the database's
// version serves, and what was removed has no connections.
func (f *fleet) checkQuiet(t *testing.T, g *inProcess) {
	t.Helper()
	if n := g.metric(t, `llm_proxy_active_requests{endpoint="/v1/chat/completions"}`); n != 0 {
		t.Errorf("%d requests are active", n)
	}
	h := adminHand{g}
	for id := range f.rows {
		h.remove(t, "providers", id)
	}
	for _, guest := range f.guests {
		if guest.state.Load().(presence).model {
			f.toggleGuestModel(t, h, g, guest)
		}
	}
	for i, p := range f.providers[1:] {
		if !soon(func() bool { return p.Open() == 0 }) {
			t.Errorf("%d connections to provider %d, which is not configured any more", p.Open(), i+1)
		}
	}
	var version, connections int64
	if err := f.db.QueryRow(context.Background(), "SELECT version FROM config_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	g.reaches(t, version)
	if served := g.served(t); served != version {
		t.Errorf("version %d serves, the database is at %d", served, version)
	}
	if err := f.db.QueryRow(context.Background(),
		"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&connections); err != nil {
		t.Fatal(err)
	}
	if connections > 9 { // a pool of 8, and the listener
		t.Errorf("%d connections to the database", connections)
	}
}
