package upstream

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Each limit ends the phase it is for, in time and by its name.
func TestTimeouts(t *testing.T) {
	const limit = 60 * time.Millisecond
	f := func(name string, phase Phase, serve func(*peer), set func(*Timeouts), q *Request, await Phase) {
		t.Helper()
		p := provide(t, serve)
		c := p.client(func(s *Settings) {
			s.Timeouts = Timeouts{}
			set(&s.Timeouts)
		})
		var a Attempt
		began := time.Now()
		err := a.Send(c, q)
		if err == nil {
			a.Await(await)
			_, err = read(&a)
		}
		took := time.Since(began)
		a.Close()
		if e := asError(t, err); !e.Timeout || e.Cancelled || e.Phase != phase || !strings.Contains(e.Error(), "timeout") {
			t.Errorf("%s: got %#v, want a timeout in %v", name, e, phase)
		}
		if took < limit || took > limit+time.Second {
			t.Errorf("%s: took %v, want %v", name, took, limit)
		}
		if s := c.Stats(); s.Idle != 0 || s.Inflight != 0 || s.Repeats != 0 {
			t.Errorf("%s: got %+v", name, s)
		}
		p.stop()
	}
	say := func(s string) func(*peer) {
		return func(p *peer) {
			p.request()
			p.say(s)
			p.left()
		}
	}
	deaf := func(p *peer) {
		time.Sleep(4 * limit) // reads nothing meanwhile
		p.left()
	}
	drip := func(p *peer) {
		p.request()
		p.say(streamHead)
		for p.say("3\r\n:\n\n\r\n") == nil {
			time.Sleep(limit / 10) // the provider's pace
		}
	}
	hints := func(p *peer) {
		p.request()
		for range maxInterim - 1 {
			if p.say("HTTP/1.1 103 Early Hints\r\n\r\n") != nil {
				return
			}
			time.Sleep(limit / 4) // the provider's pace
		}
		p.left()
	}
	flood := func(p *peer) {
		p.request()
		p.say(streamHead)
		for p.say("400\r\n:"+strings.Repeat("x", 1021)+"\n\n\r\n") == nil {
		}
	}
	large := post(strings.Repeat("x", 64<<20))

	f("write", Write, deaf, func(t *Timeouts) { t.Write = limit }, large, Body)
	f("total, in write", Write, deaf, func(t *Timeouts) { t.Total = limit }, large, Body)
	f("first byte", FirstByte, say(""), func(t *Timeouts) { t.FirstByte = limit }, post("{}"), Body)
	f("first byte, half a head", FirstByte, say("HTTP/1.1 200 OK\r\nX"), func(t *Timeouts) { t.FirstByte = limit }, post("{}"), Body)
	f("first byte, only 103", FirstByte, say("HTTP/1.1 103 Early Hints\r\n\r\n"), func(t *Timeouts) { t.FirstByte = limit }, post("{}"), Body)
	f("first byte, one 103 after the other", FirstByte, hints, func(t *Timeouts) { t.FirstByte = limit }, post("{}"), Body)
	f("total, in first byte", FirstByte, say(""), func(t *Timeouts) { t.Total = limit; t.FirstByte = time.Hour }, post("{}"), Body)
	f("body", Body, say(okHead+"Content-Length: 5\r\n\r\nhe"), func(t *Timeouts) { t.Idle = limit }, post("{}"), Body)
	f("total, in body", Body, drip, func(t *Timeouts) { t.Total = limit; t.Idle = time.Hour }, post("{}"), Body)
	f("first event", FirstEvent, drip, func(t *Timeouts) { t.FirstEvent = limit; t.Idle = time.Hour }, stream("{}"), FirstEvent)
	f("first event, silence", FirstEvent, say(streamHead), func(t *Timeouts) { t.FirstByte = limit; t.Idle = limit / 3 }, stream("{}"), FirstEvent)
	f("event", Event, say(streamHead+"3\r\n:\n\n\r\n"), func(t *Timeouts) { t.Idle = limit; t.FirstEvent = limit / 3 }, stream("{}"), Event)
	f("total, in a flood", Event, flood, func(t *Timeouts) { t.StreamTotal = limit; t.Idle = time.Hour }, stream("{}"), Event)
	f("total, in event", Event, drip, func(t *Timeouts) { t.StreamTotal = limit; t.Total = limit / 3 }, stream("{}"), Event)
}

// A limit of one read begins anew with each: a stream may last.
func TestIdleLimitRolls(t *testing.T) {
	const limit, events = 320 * time.Millisecond, 8
	p := provide(t, func(p *peer) {
		p.request()
		p.say(streamHead)
		for range events {
			time.Sleep(limit / 4) // the provider's pace
			p.say("3\r\n:\n\n\r\n")
		}
		p.say(lastChunk)
		p.left()
	})
	c := p.client(func(s *Settings) { s.Timeouts = Timeouts{Idle: limit, Total: 1} })
	var a Attempt
	if err := a.Send(c, stream("{}")); err != nil {
		t.Fatal(err)
	}
	a.Await(Event)
	got, err := read(&a)
	if err != nil || got != strings.Repeat(":\n\n", events) {
		t.Errorf("got %d bytes and %v", len(got), err)
	}
	a.Close()
}

// The connect limit covers name lookup and TCP; nothing was sent then.
func TestConnectFailures(t *testing.T) {
	var a Attempt
	c := newClient(t, Settings{APIBase: "http://" + blackHole(t), Timeouts: Timeouts{Connect: 50 * time.Millisecond}})
	_, _, err := exchange(&a, c, post("{}"))
	if e := asError(t, err); e.Phase != Connect || !e.Timeout || e.Sent {
		t.Errorf("got %#v", e)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	c = newClient(t, Settings{APIBase: "http://" + ln.Addr().String()})
	_, _, err = exchange(&a, c, post("{}"))
	if e := asError(t, err); e.Phase != Connect || e.Timeout || e.Sent || e.Error() != "connect: connection refused" {
		t.Errorf("got %v %#v", e, e)
	}

	c = newClient(t, Settings{APIBase: "http://no-such-host.invalid"})
	c.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: nil}
	_, _, err = exchange(&a, c, post("{}"))
	if e := asError(t, err); e.Phase != Connect || e.Sent || strings.Contains(e.Error(), "no-such-host.invalid") {
		t.Errorf("got %v", e)
	}
}

// An answer in time is whole although limits are set, and leaves nothing armed
// that could end the next one.
func TestLimitsOfOneAnswerDoNotEndTheNext(t *testing.T) {
	var pause time.Duration
	p := provide(t, func(p *peer) {
		for {
			if _, okay := p.request(); !okay {
				return
			}
			time.Sleep(pause) // the provider's pace
			p.say(ok)
		}
	})
	c := p.client(func(s *Settings) {
		s.Timeouts = Timeouts{FirstByte: 30 * time.Millisecond, Total: 50 * time.Millisecond}
	})
	var a Attempt
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Fatal(err)
	}
	l := c.pool.pop()
	c.pool.put(l, clock())
	c.settings.Timeouts = Timeouts{}
	pause = 100 * time.Millisecond
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Dials != 1 {
		t.Errorf("got %+v, want one connection", s)
	}
}

// Errors say which phase, and nothing about where or what.
func TestErrorText(t *testing.T) {
	f := func(e *Error, want string) {
		t.Helper()
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	refusedBy := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, Err: errors.New("no route")}
	f(&Error{Phase: Connect, Err: refusedBy}, "connect: no route")
	f(&Error{Phase: Write, Timeout: true, Err: refusedBy}, "write: timeout")
	f(&Error{Phase: FirstByte, Cancelled: true, Reason: ClientGone}, "first_byte: cancelled, client gone")
	f(&Error{Phase: FirstEvent, Err: io.EOF}, "first_event: connection closed by the provider")
	f(&Error{Phase: Event, Err: ErrShortBody}, "event: answer cut short")
	f(&Error{Phase: Body, Err: ErrHeadTooLarge}, "body: response head too large")
	f(&Error{Phase: Connect, Err: ErrBusy}, "connect: provider has its maximum of concurrent requests")
	f(&Error{}, "connect: failed")
	if s := Phase(99).String() + CancelReason(99).String(); s != "unknownunknown" {
		t.Errorf("got %q", s)
	}
}
