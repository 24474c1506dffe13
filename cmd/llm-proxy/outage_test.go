package main

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/pgtest"
)

// TestDatabaseOutageUnderLoad (R41, R42) stops, crashes, silences, freezes and
// slows down the database while clients ask: none of them notices, administrators are told within two
// seconds, and what changed meanwhile serves soon after it is back.
func TestDatabaseOutageUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("a database is stopped and started for ten seconds")
	}
	server := pgtest.NewServer(t)
	wire := newWire(t, server.URL())
	provider := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	provider.Handle(unhurried)
	before := goleak.IgnoreCurrent()

	g := startInProcess(t, map[string]string{"DB_URL": wire.url(server.URL()), "CONFIG_POLL_SECS": "1", "LOG_LEVEL": "debug"})
	h := adminHand{g}
	h.add(t, "providers", fields{"provider_key": "p", "api_base": provider.URL(), "api_key": "k", "model_mapping": map[string]string{"steady": "x"}})
	key, _ := h.add(t, "credentials", fields{"name": "steady", "key": "sk-steady-client-number-0"})
	load := newCrowd(g.url)
	for i := range 32 {
		load.steady("sk-steady-client-number-0", "steady", i%2 == 0)
	}

	f := func(what string, away, back func()) {
		t.Helper()
		away()
		load.goesOn(t, 100)
		refusesWithin(t, g, 4*time.Second) // the promise is two: the rest is a busy machine's
		load.goesOn(t, 100)
		back()
		began := time.Now()
		raise(t, server)
		g.reaches(t, versionOf(t, server))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: the gateway caught up %v after the database was back", what, took)
		}
		h.set(t, "credentials", key, fields{"name": "steady " + what})
	}
	f("stopped", func() { server.Stop(t) }, func() { server.Start(t) })
	f("crashed", func() { server.Kill(t) }, func() { server.Start(t) })
	f("silent", wire.freeze, wire.thaw)
	f("standing still", func() { server.Freeze(t) }, func() { server.Thaw(t) })
	f("slow", func() { wire.delay.Store(int64(time.Second)) }, func() { wire.delay.Store(0) })

	for _, failure := range load.stop() {
		t.Error(failure)
	}
	t.Logf("%d requests, %d failed", load.asked.Load(), load.failed.Load())
	g.stopAndWait(t)
	wire.close()
	goleak.VerifyNone(t, append(eternal, before, goleak.IgnoreAnyFunction("llmproxy/internal/pgtest.(*Server).start.func1"))...)
}

// goesOn waits until so many more requests were made.
func (c *crowd) goesOn(t *testing.T, more int64) {
	t.Helper()
	goal := c.asked.Load() + more
	if !soon(func() bool { return c.asked.Load() >= goal }) {
		t.Errorf("the clients are stuck")
	}
}

// refusesWithin asks for everything that needs the database, all at once.
func refusesWithin(t *testing.T, g *inProcess, limit time.Duration) {
	t.Helper()
	var asking sync.WaitGroup
	f := func(method, path string, body any) {
		asking.Go(func() {
			began := time.Now()
			status, answer := g.admin(t, method, path, body)
			took := time.Since(began)
			detail, _ := answer["detail"].(string)
			if status != 503 || !strings.Contains(detail, "store") || took > limit {
				t.Errorf("%s %s: %d %v after %v, want 503 within %v", method, path, status, answer, took, limit)
			}
		})
	}
	f("POST", "/credentials", fields{"name": "late"})
	f("PATCH", "/providers/1", fields{"weight": 2})
	f("GET", "/providers", nil)
	f("POST", "/config/reload", nil)
	asking.Wait()
}

// raise makes a change behind the gateway's back.
func raise(t *testing.T, server *pgtest.Server) {
	t.Helper()
	runSQL(t, server.URL(), "UPDATE providers SET weight = weight + 1")
}

func versionOf(t *testing.T, server *pgtest.Server) (version int64) {
	t.Helper()
	ctx := context.Background()
	db := connect(t, server.URL())
	defer db.Close(ctx)
	if err := db.QueryRow(ctx, "SELECT version FROM config_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// TestStartDuringOutage (R40): with what an earlier run saved a gateway serves within
// two seconds of its start, whether the database refuses or says nothing.
func TestStartDuringOutage(t *testing.T) {
	server := pgtest.NewServer(t)
	provider := fakeprovider.Start(t)
	dir := t.TempDir()
	g := startInProcess(t, map[string]string{"DB_URL": server.URL(), "DATA_DIR": dir})
	h := adminHand{g}
	h.add(t, "providers", fields{"provider_key": "p", "api_base": provider.URL(), "api_key": "k", "model_mapping": map[string]string{"m": "x"}})
	h.add(t, "credentials", fields{"name": "c", "key": "sk-steady-client-number-0"})
	g.stopAndWait(t)

	f := func(what, address string) {
		t.Helper()
		at, err := url.Parse(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		at.Host = address
		began := time.Now()
		g := startInProcess(t, map[string]string{"DB_URL": at.String(), "DATA_DIR": dir})
		c := newCrowd(g.url)
		status, err := c.ask("sk-steady-client-number-0", "m", false)
		if took := time.Since(began); err != nil || status != 200 || took > 2*time.Second {
			t.Errorf("%s: %d %v after %v", what, status, err, took)
		}
		c.stop()
		g.stopAndWait(t)
	}
	f("a database that refuses", fakeprovider.Refusing(t))
	f("a database that says nothing", fakeprovider.Hanging(t))
}

// wire is a connection to the database that can be cut without a word, as
// networks do: what is sent is swallowed and nothing comes back.
type wire struct {
	ln     net.Listener
	target string
	delay  atomic.Int64 // nanoseconds that each word from the database takes longer

	mu     sync.Mutex    // guards what follows
	frozen chan struct{} // closed while bytes flow
	conns  []net.Conn
	done   sync.WaitGroup
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	at, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, target: at.Host}
	w.thaw()
	w.done.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// url is the database's address by way of the wire.
func (w *wire) url(target string) string {
	at, _ := url.Parse(target)
	at.Host = w.ln.Addr().String()
	return at.String()
}

func (w *wire) accept() {
	for {
		near, err := w.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		w.done.Go(func() { w.carry(near, far) })
		w.done.Go(func() { w.carry(far, near) })
	}
}

// carry moves bytes one way, and holds them while the wire is frozen.
func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(to, thawed{from, w})
}

// thawed is a reader that gives nothing while the wire is frozen.
type thawed struct {
	net.Conn
	w *wire
}

// Read implements io.Reader.
func (r thawed) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.w.mu.Lock()
	frozen := r.w.frozen
	r.w.mu.Unlock()
	<-frozen
	if delay := r.w.delay.Load(); delay > 0 && r.Conn.RemoteAddr().String() == r.w.target {
		<-time.After(time.Duration(delay))
	}
	return n, err
}

func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = make(chan struct{})
}

func (w *wire) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen == nil {
		w.frozen = make(chan struct{})
	}
	select {
	case <-w.frozen:
	default:
		close(w.frozen)
	}
}

func (w *wire) close() {
	w.thaw()
	w.ln.Close()
	w.mu.Lock()
	for _, c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.done.Wait()
}
