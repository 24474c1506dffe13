package upstream

import (
	"io"
	"strings"
	"testing"
	"time"
)

const (
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	doneChunk  = "e\r\ndata: [DONE]\n\n\r\n"
	lastChunk  = "0\r\n\r\n"
)

// readDone sends and reads up to the event [DONE], as a relay does.
func readDone(t *testing.T, a *Attempt, c *Client) {
	t.Helper()
	if err := a.Send(c, stream("{}")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 14)
	if _, err := io.ReadFull(a, buf); err != nil || string(buf) != "data: [DONE]\n\n" {
		t.Fatalf("got %q %v", buf, err)
	}
}

// After a stream the connection serves the next, whether the empty chunk came
// with the last event or a moment later; Close waits for it in neither case.
func TestConnectionIsReusedAfterAStream(t *testing.T) {
	f := func(name string, secure bool, end func(p *peer), lingered bool) {
		t.Helper()
		serve := func(p *peer) {
			for {
				if _, okay := p.request(); !okay {
					return
				}
				p.say(streamHead)
				end(p)
			}
		}
		var c *Client
		var p *provider
		if secure {
			provider, roots := provideTLS(t, nil, serve)
			p, c = provider, provider.client(trusting(roots))
		} else {
			p = provide(t, serve)
			c = p.client()
		}
		var a Attempt
		for range 20 {
			readDone(t, &a, c)
			began := time.Now()
			a.Close()
			if took := time.Since(began); took > lingerTime {
				t.Errorf("%s: Close took %v", name, took)
			}
			eventually(t, name+": the connection's fate", func() bool { return c.lingering.Load() == 0 })
		}
		// On a busy machine a moment may be longer than the limit, now and then.
		if s := c.Stats(); s.Dials > 4 || s.Reuses < 16 || lingered && s.Lingered == 0 || !lingered && s.Lingered > 10 {
			t.Errorf("%s: got %+v, want one connection, lingered %v", name, s, lingered)
		}
		p.stop()
	}
	atOnce := func(p *peer) { p.say(doneChunk + lastChunk) }
	later := func(p *peer) {
		p.say(doneChunk)
		time.Sleep(time.Millisecond) // the provider's own delay
		p.say(lastChunk)
	}
	inPieces := func(p *peer) {
		p.say(doneChunk)
		time.Sleep(time.Millisecond)
		for _, b := range "0;ext\r\nx: y\r\n\r\n" {
			p.say(string(b))
		}
	}
	f("at once", false, atOnce, false)
	f("at once, TLS", true, atOnce, false)
	f("later", false, later, true)
	f("later, TLS", true, later, true)
	f("in pieces", false, inPieces, true)
}

// A stream that its reader left in the middle is ended soon, without a Cancel
// too; whatever the provider goes on to say.
func TestAbandonedStreamIsEnded(t *testing.T) {
	f := func(name, rest string) {
		t.Helper()
		left := make(chan time.Time, 1)
		p := provide(t, func(p *peer) {
			p.request()
			p.say(streamHead + doneChunk)
			for p.say(rest) == nil && rest != "" {
				time.Sleep(100 * time.Microsecond) // the provider's pace
			}
			p.left()
			left <- time.Now()
		})
		c := p.client()
		var a Attempt
		readDone(t, &a, c)
		a.Close()
		began := time.Now()
		if took := (<-left).Sub(began); took > 4*lingerTime {
			t.Errorf("%s: the provider worked on for %v", name, took)
		}
		if s := c.Stats(); s.Idle != 0 || s.Inflight != 0 {
			t.Errorf("%s: got %+v", name, s)
		}
		p.stop()
	}
	f("silence", "")
	f("a slow flow", "1\r\nx\r\n")
	f("a fast flow", "1000\r\n"+strings.Repeat("x", 4096)+"\r\n")
	f("garbage", "garbage")
}

// Only so many connections linger; the others are closed at once.
func TestLingeringIsBounded(t *testing.T) {
	p := provide(t, func(p *peer) {
		p.request()
		p.say(streamHead + doneChunk)
		p.left()
	})
	c := p.client()
	c.lingering.Store(maxLingering)
	var a Attempt
	readDone(t, &a, c)
	a.Close()
	if n := c.lingering.Load(); n != maxLingering {
		t.Errorf("got %d lingering", n)
	}
	c.lingering.Store(0)
}
