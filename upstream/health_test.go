package upstream

import (
	"errors"
	"testing"
	"time"
)

const second = int64(time.Second)

func TestRestAfterFailures(t *testing.T) {
	c := newClient(t, Settings{APIBase: "http://h"})
	f := func(step string, now int64, usable, healthy bool) {
		t.Helper()
		if c.Usable(now) != usable || c.Healthy() != healthy {
			t.Errorf("%s: got usable %v, healthy %v", step, c.Usable(now), c.Healthy())
		}
	}
	now := time.Now().UnixNano()
	for range sickAfter - 1 {
		c.Failed(now)
	}
	f("four failures", now, true, true)
	c.Succeeded()
	for range sickAfter - 1 {
		c.Failed(now)
	}
	f("four more after a success", now, true, true)
	c.Failed(now)
	f("the fifth", now, false, false)
	for range 50 {
		c.Failed(now + second/2) // of requests that were on their way
	}
	f("within the rest", now+second*7/10, false, false)
	f("after the rest", now+second*13/10, true, false)
	now += second * 13 / 10
	c.Failed(now)
	f("failed again", now+second*14/10, false, false)
	f("after the second rest", now+second*21/10, true, false)
	c.Succeeded()
	f("healed", now, true, true)
	for range sickAfter {
		c.Failed(now)
	}
	f("a first rest again", now+second*13/10, true, false)
}

func TestRestGrowsToItsLimit(t *testing.T) {
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		want *= time.Second
		long, short := restFor(int32(n), 0), restFor(int32(n), 1)
		if long != want || short != want*3/4 {
			t.Errorf("rest %d: got %v to %v, want %v", n, short, long, want)
		}
	}
	if got := restFor(1<<30, 0); got != restMax {
		t.Errorf("got %v", got)
	}
}

// A rest that the provider asked for stands whatever else is heard of it.
func TestRestUntil(t *testing.T) {
	c := newClient(t, Settings{APIBase: "http://h"})
	now := time.Now().UnixNano()
	c.RestUntil(now + 10*second)
	c.RestUntil(now + 5*second)
	c.Succeeded()
	if c.Usable(now+9*second) || !c.Usable(now+10*second) || !c.Healthy() {
		t.Error("it does not rest until the later of two")
	}
}

// After its rest a sick provider gets one attempt at a time, until one succeeds.
func TestSickProviderIsProbedByOne(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client()
	now := time.Now().UnixNano()
	for range sickAfter {
		c.Failed(now)
	}
	now += 2 * second
	var a, b Attempt
	if !c.Usable(now) {
		t.Fatal("not usable after its rest")
	}
	if err := a.Send(c, post("{}")); err != nil {
		t.Fatal(err)
	}
	if c.Usable(now) {
		t.Error("usable while it is being probed")
	}
	a.Close()
	if !c.Usable(now) {
		t.Error("not usable after a probe without a verdict")
	}
	if err := a.Send(c, post("{}")); err != nil {
		t.Fatal(err)
	}
	c.Succeeded()
	if !c.Usable(now) {
		t.Error("not usable although a probe succeeded")
	}
	if err := b.Send(c, post("{}")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	b.Close()
	if n := c.health.probes.Load(); n != 0 {
		t.Errorf("got %d probes left", n)
	}
}

// Beyond MaxConcurrency an attempt is refused before anything is sent.
func TestMaxConcurrency(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client(func(s *Settings) { s.MaxConcurrency = 2 })
	var a, b, third Attempt
	for _, x := range []*Attempt{&a, &b} {
		if !c.Usable(0) {
			t.Fatal("not usable below the limit")
		}
		if err := x.Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if c.Usable(0) {
		t.Error("usable at the limit")
	}
	err := third.Send(c, post("{}"))
	if e := asError(t, err); !errors.Is(err, ErrBusy) || e.Sent || e.Phase != Connect {
		t.Errorf("got %v", err)
	}
	third.Close()
	a.Close()
	if _, _, err := exchange(&third, c, post("{}")); err != nil || !c.Usable(0) {
		t.Errorf("got %v after a place was free", err)
	}
	b.Close()
	if s := c.Stats(); s.Inflight != 0 {
		t.Errorf("got %+v", s)
	}
}
