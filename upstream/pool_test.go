package upstream

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A provider that closes every connection after an answer without saying so:
// no request is lost, and none is sent twice.
func TestStaleConnectionsCostNoRequest(t *testing.T) {
	closed := make(chan bool)
	p := provide(t, func(p *peer) {
		if _, okay := p.request(); okay {
			p.say(ok)
		}
		p.Close()
		closed <- true
	})
	c := p.client()
	var a Attempt
	for i := range 100 {
		if _, body, err := exchange(&a, c, post("{}")); err != nil || body != "{}" {
			t.Fatalf("request %d: got %q %v", i, body, err)
		}
		<-closed
	}
	s := c.Stats()
	if p.conns.Load() != 100 || s.Dials != 100 || s.Stale+s.Repeats != 99 {
		t.Errorf("got %d connections and %+v, want 100 and 99 found dead", p.conns.Load(), s)
	}
	if s.Stale < 90 {
		t.Errorf("got %+v: most should have been seen to be dead before the request", s)
	}
}

// idleLines puts n fresh connections into the client's pool.
func idleLines(t *testing.T, c *Client, n int) {
	t.Helper()
	attempts := make([]Attempt, n)
	for i := range attempts {
		if err := attempts[i].Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := read(&attempts[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range attempts {
		attempts[i].Close()
	}
}

// The last used connection is used first; the others grow old and are closed.
func TestPoolIsLastInFirstOut(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	idleLines(t, c, 3)
	now := clock()
	top := c.pool.lines[2]
	l, dead := c.pool.take(now)
	if l != top || dead != 0 {
		t.Errorf("got another line than the last used, %d dead", dead)
	}
	c.pool.put(l, now)

	if l, dead := c.pool.take(now + int64(idleTimeout) + 1); l != nil || dead != 3 {
		t.Errorf("got %v, %d dead, want 3 too old", l, dead)
	}
}

// The janitor closes what was idle for too long and nothing else, and sleeps
// for good when nothing is idle.
func TestJanitor(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	idleLines(t, c, 3)
	now := clock()
	c.pool.lines[0].idleSince = now - int64(idleTimeout)
	c.pool.lines[1].idleSince = now - int64(idleTimeout) + int64(time.Second)
	c.pool.sweep()
	if n := c.Stats().Idle; n != 2 || c.pool.janitor == nil {
		t.Errorf("got %d idle, want 2 and a janitor", n)
	}
	for _, l := range c.pool.lines {
		l.idleSince = now - int64(idleTimeout)
	}
	c.pool.sweep()
	if n := c.Stats().Idle; n != 0 || c.pool.janitor != nil {
		t.Errorf("got %d idle, want none and no janitor", n)
	}
	idleLines(t, c, 1)
	if c.pool.janitor == nil {
		t.Error("no janitor for a new idle connection")
	}
}

// Connections are not kept for ever, nor in any number, nor after Close.
func TestPoolBounds(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	idleLines(t, c, 1)
	l, _ := c.pool.take(clock())
	c.pool.put(l, l.expires)
	if n := c.Stats().Idle; n != 0 {
		t.Errorf("a line past its age was kept")
	}
	if age := l.expires - clock(); age < int64(maxAge)/2-int64(time.Minute) || age > int64(maxAge) {
		t.Errorf("got a life of %v", time.Duration(age))
	}

	c.pool.lines = make([]*line, defaultMaxIdle)
	idleLines(t, c, 1)
	if n := len(c.pool.lines); n != defaultMaxIdle {
		t.Errorf("got %d idle, want at most %d", n, defaultMaxIdle)
	}
	var surplus atomic.Int64
	c.pool.most, c.pool.surplus = 2, countOf{&surplus}
	c.pool.lines = nil
	idleLines(t, c, 3)
	if n := c.Stats().Idle; n != 2 || surplus.Load() != 1 {
		t.Errorf("got %d idle and %d too many, want 2 and 1", n, surplus.Load())
	}
	c.pool.most = defaultMaxIdle
	for _, l := range c.pool.lines {
		l.close()
	}
	c.pool.lines = nil

	idleLines(t, c, 2)
	var a Attempt
	if err := a.Send(c, post("{}")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got, err := read(&a); err != nil || got != "{}" {
		t.Errorf("the running attempt got %q %v after Close", got, err)
	}
	a.Close()
	if n := c.Stats().Idle; n != 0 || c.pool.janitor != nil {
		t.Errorf("got %d idle after Close", n)
	}
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Errorf("got %v after Close, want an answer on a connection of its own", err)
	}
	if n := c.Stats().Idle; n != 0 {
		t.Errorf("got %d idle after Close", n)
	}
}

// Many at once share the connections and leave none behind.
func TestConcurrentAttempts(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			var a Attempt
			for range 50 {
				if _, body, err := exchange(&a, c, post("{}")); err != nil || body != "{}" {
					t.Errorf("got %q %v", body, err)
				}
			}
		})
	}
	all.Wait()
	s := c.Stats()
	if s.Dials+s.Reuses != 2500 || s.Dials > 50 || s.Idle != s.Dials || s.Inflight != 0 {
		t.Errorf("got %+v", s)
	}
}

type countOf struct{ n *atomic.Int64 }

func (c countOf) Inc() { c.n.Add(1) }
