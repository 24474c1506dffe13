package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// S02: who asks is looked up by the key's hash, in memory. A thousand requests,
// good ones and such as would be SQL in another gateway, send the database not
// one byte, and change nothing in it.
func TestKeysAreLookedUpWithoutSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	database := pgtest.New(t)
	at := newTap(t, database)
	provider := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{
		"DB_URL": at.url(database), "LOG_LEVEL": "info",
		// What goes to the database by the clock, or after a request, is none of the look-up.
		"CONFIG_POLL_SECS": "86400", "USAGE_LEDGER": "off",
	}})
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": provider.URL(), "model_mapping": map[string]string{"m": "m"}})
	key := g.Key(t)
	if before := at.sent.Load(); before == 0 {
		t.Fatal("the tap counts nothing")
	}
	at.awaitSilence(t)

	before := at.sent.Load()
	for i := range 1000 {
		status, answer := 0, ""
		switch want := 401; i % 4 {
		case 0, 1:
			want = 200
			if status, answer = g.Post(t, "/v1/chat/completions", key, `{"model":"m"}`); status != want {
				t.Fatalf("%d %s", status, answer)
			}
		case 2:
			if status, answer = g.Post(t, "/v1/chat/completions", fmt.Sprintf("sk-%d'--", i), `{"model":"m"}`); status != want {
				t.Fatalf("%d %s", status, answer)
			}
		case 3:
			if status, answer = g.Get(t, "/v1/models", "'OR'1'='1';DROP/**/TABLE/**/credentials;--"); status != want {
				t.Fatalf("%d %s", status, answer)
			}
		}
	}
	if n := at.sent.Load() - before; n != 0 {
		t.Errorf("1,000 requests sent the database %d bytes", n)
	}
	if list, _ := g.Admin(t, "GET", "/credentials", nil, 200)["credentials"].([]any); len(list) != 1 {
		t.Errorf("%d credentials are left", len(list))
	}
	if at.sent.Load() == before {
		t.Error("the tap has come off")
	}
}

// tap is a way to the database that counts what is sent to it.
type tap struct {
	ln     net.Listener
	target string
	sent   atomic.Int64 // bytes to the database

	mu    sync.Mutex // guards conns
	conns []net.Conn
	done  sync.WaitGroup
}

func newTap(t *testing.T, database string) *tap {
	t.Helper()
	to, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{ln: ln, target: to.Host}
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// url is the database's address by way of the tap.
func (p *tap) url(database string) string {
	to, _ := url.Parse(database)
	to.Host = p.ln.Addr().String()
	return to.String()
}

func (p *tap) accept() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		p.done.Go(func() { defer far.Close(); _, _ = io.Copy(far, io.TeeReader(near, p)) })
		p.done.Go(func() { defer near.Close(); _, _ = io.Copy(near, far) })
	}
}

// Write implements io.Writer: it counts.
func (p *tap) Write(b []byte) (int, error) {
	p.sent.Add(int64(len(b)))
	return len(b), nil
}

// awaitSilence waits until nothing has been sent for half a second.
func (p *tap) awaitSilence(t *testing.T) {
	t.Helper()
	last, since := p.sent.Load(), time.Now()
	if !soon(func() bool {
		if now := p.sent.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	}) {
		t.Fatal("the gateway does not stop talking to the database")
	}
}

func (p *tap) close() {
	p.ln.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}
