package upstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Beyond MaxConcurrency an attempt is refused before anything is sent.
func TestMaxConcurrency(t *testing.T) {
	p := provide(t, answers(ok))
	c := p.client(func(s *Settings) { s.MaxConcurrency = 2 })
	var a, b, third Attempt
	for _, x := range []*Attempt{&a, &b} {
		if !c.HasRoom() {
			t.Fatal("no room below the limit")
		}
		if err := x.Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if c.HasRoom() {
		t.Error("room at the limit")
	}
	err := third.Send(c, post("{}"))
	if e := asError(t, err); !errors.Is(err, ErrBusy) || e.Sent || e.Phase != Connect {
		t.Errorf("got %v", err)
	}
	third.Close()
	a.Close()
	if _, _, err := exchange(&third, c, post("{}")); err != nil || !c.HasRoom() {
		t.Errorf("got %v after a place was free", err)
	}
	b.Close()
	if s := c.Stats(); s.Inflight != 0 {
		t.Errorf("got %+v", s)
	}
}

// The limit holds whoever comes at once, and every place is given back.
func TestMaxConcurrencyUnderLoad(t *testing.T) {
	const limit = 3
	var now, most atomic.Int64
	p := provide(t, func(p *peer) {
		for {
			if _, okay := p.request(); !okay {
				return
			}
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			now.Add(-1)
			p.say(ok)
		}
	})
	c := p.client(func(s *Settings) { s.MaxConcurrency = limit })
	var all sync.WaitGroup
	var served atomic.Int64
	for range 20 {
		all.Go(func() {
			var a Attempt
			for range 100 {
				_, body, err := exchange(&a, c, post("{}"))
				switch {
				case err == nil && body == "{}":
					served.Add(1)
				case !errors.Is(err, ErrBusy):
					t.Errorf("got %q %v", body, err)
				}
			}
		})
	}
	all.Wait()
	if s := c.Stats(); s.Inflight != 0 || most.Load() > limit || served.Load() == 0 || s.Dials > limit {
		t.Errorf("got %+v, %d at once, %d served", s, most.Load(), served.Load())
	}
}

// Whoever waits for room gets it when it is there: a crowd of them comes in
// one after the other, and none is forgotten.
func TestAwaitRoom(t *testing.T) {
	const limit, crowd, rounds = 2, 16, 50
	c := provide(t, answers(ok)).client(func(s *Settings) { s.MaxConcurrency = limit })
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			for range rounds {
				for !c.enter() {
					if !c.AwaitRoom(nil, time.Minute) {
						t.Error("a minute was not enough")
						return
					}
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				inside.Add(-1)
				c.leave()
			}
		})
	}
	all.Wait()
	if most.Load() > limit || c.room.waiting.Load() != 0 || c.room.inflight.Load() != 0 {
		t.Errorf("%d inside at once, %d wait and %d are inside at the end", most.Load(), c.room.waiting.Load(), c.room.inflight.Load())
	}
}

func TestAwaitRoomEnds(t *testing.T) {
	c := provide(t, answers(ok)).client(func(s *Settings) { s.MaxConcurrency = 1 })
	if !c.AwaitRoom(nil, 0) {
		t.Error("there is room")
	}
	if !c.enter() {
		t.Fatal("no room for the first")
	}
	if c.AwaitRoom(nil, time.Millisecond) {
		t.Error("room after a while in which nobody left")
	}
	gone := make(chan struct{}, 1)
	gone <- struct{}{}
	if c.AwaitRoom(gone, time.Minute) {
		t.Error("room for who has left")
	}
	c.leave()
}
