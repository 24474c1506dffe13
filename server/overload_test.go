package server_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/overload"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// limited starts a gateway with a limiter of its own.
func limited(t *testing.T, set *config.Set, o overload.Options) (*rig, *overload.Limiter) {
	t.Helper()
	l := overload.New(o)
	t.Cleanup(l.Close)
	return start(t, set, func(o *server.Options, _ *route.Builder) { o.Limiter = l }), l
}

// holding makes the provider answer when the channel is closed.
func holding(p *fakeprovider.Provider) (hold chan struct{}) {
	hold = make(chan struct{})
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.OpenAI(q)
		a.Hold = hold
		return a
	})
	return hold
}

// A client that leaves while it waits for a seat, or for its moment, is out of
// the queue at once, counted by the phase it was in, and never asks a provider;
// those behind it get in. R13.
func TestClientLeavesTheQueue(t *testing.T) {
	f := func(name string, o overload.Options, limits func(*overload.Limiter) bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t)
			hold := holding(p)
			r, l := limited(t, serves(p), o)
			eventually(t, "the limit is in force", func() bool { return limits(l) })
			first := r.dial(chat, hello)
			defer first.Close()
			p.Next(t)
			leaver := r.dial(chat, hello)
			eventually(t, "it waits", func() bool { return l.Stats().Queued == 1 })
			behind := r.dial(chat, hello)
			defer behind.Close()
			eventually(t, "two wait", func() bool { return l.Stats().Queued == 2 })
			if err := leaver.Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "one waits", func() bool { return l.Stats().Queued == 1 })
			eventually(t, "counted by phase", func() bool {
				return r.metric("llm_proxy_upstream_cancelled_total", `phase="queue"`) == 1 &&
					r.metric("llm_proxy_requests_total", `status_code="499"`) == 1
			})
			if rec := r.sink.wait(t, 1); rec.Outcome != usage.Cancelled {
				t.Errorf("recorded %+v", rec)
			}
			close(hold)
			readUntil(t, first, "200 OK")
			readUntil(t, behind, "200 OK")
			if p.Count() != 2 {
				t.Errorf("the provider was asked %d times", p.Count())
			}
			eventually(t, "nobody is left", func() bool { return l.Stats().InFlight+l.Stats().Queued == 0 })
		})
	}
	f("for a seat", overload.Options{MaxConcurrent: 1, MaxQueued: 4, QueueTimeout: time.Minute},
		func(*overload.Limiter) bool { return true })
	// One a second: who waits behind another would wait for two.
	f("for its moment", overload.Options{
		MaxDelay: time.Millisecond, MinRate: 1, MaxQueued: 4, QueueTimeout: time.Minute,
		Delay: func() time.Duration { return time.Hour },
	}, func(l *overload.Limiter) bool { return l.Stats().Rate == 1 })
}

// One key that asks far beyond its rate is refused by itself: nobody else has
// a failure, and the provider is not asked for what was refused. R03.
func TestGreedyKey(t *testing.T) {
	const others, each = 9, 10
	p := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
	set := serves(p)
	for i := range others {
		set.Credentials = append(set.Credentials, credential(int64(100+i), keyOf(i), "other"+string(rune('a'+i))))
	}
	r := start(t, set)
	var asked, admitted, refused atomic.Int64
	done := make(chan struct{})
	var greedy, good sync.WaitGroup
	began := time.Now()
	for range 4 {
		greedy.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				switch got := r.post(chat, hello, "Authorization: Bearer "+limitedKey); {
				case got.status == 200:
					admitted.Add(1)
				case got.status == 429 && got.header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					t.Errorf("the greedy one: %d %s", got.status, got.body)
				}
			}
		})
	}
	for i := range others {
		good.Go(func() {
			for range each {
				if got := r.post(chat, hello, "Authorization: Bearer "+keyOf(i)); got.status != 200 {
					t.Errorf("key %d: %d %s", i, got.status, got.body)
				}
				asked.Add(1)
			}
		})
	}
	good.Wait()
	eventually(t, "the greedy one is refused", func() bool { return refused.Load() > 100 })
	close(done)
	greedy.Wait()
	most := int64(time.Since(began)/time.Second) + 2 // one a second, one that comes early, one that has begun
	if n := admitted.Load(); n < 1 || n > most {
		t.Errorf("%d of the greedy one's requests came in, want %d at most", n, most)
	}
	if n := int64(p.Count()); n != asked.Load()+admitted.Load() {
		t.Errorf("the provider was asked %d times; %d + %d requests came in", n, asked.Load(), admitted.Load())
	}
}

func keyOf(i int) string { return "sk-canary-other-0123456789-" + string(rune('a'+i)) }

// Each provider holds as many requests as it may; what is more goes to the
// next, and when none has room it is refused with a time to come back, and
// nobody's failure. A place that gets free is taken again.
func TestMaxConcurrencyOfAll(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	holdA, holdB := holding(a), holding(b)
	set := serves(a, b)
	two, one := int64(2), int64(1)
	set.Providers[0].Params.MaxConcurrency, set.Providers[1].Params.MaxConcurrency = &two, &one
	r := start(t, set)
	answers := make(chan answer, 3)
	for i, p := range []*fakeprovider.Provider{a, a, b} {
		go func() { answers <- r.post(chat, hello) }()
		if q := p.Next(t); q == nil {
			t.Fatalf("request %d is nowhere", i+1)
		}
	}
	for range 3 {
		got := r.post(chat, hello)
		if got.status != http.StatusServiceUnavailable || got.code(t) != "overloaded" || got.header.Get("Retry-After") == "" {
			t.Errorf("no room: %d %v %s", got.status, got.header, got.body)
		}
	}
	if a.Count() != 2 || b.Count() != 1 {
		t.Errorf("a was asked %d times, b %d times", a.Count(), b.Count())
	}
	close(holdB)
	if got := <-answers; got.status != 200 || got.header.Get("X-Llm-Proxy-Provider") != "b" {
		t.Errorf("%d by %s", got.status, got.header.Get("X-Llm-Proxy-Provider"))
	}
	eventually(t, "the place is taken again", func() bool {
		got := r.post(chat, hello)
		return got.status == 200 && got.header.Get("X-Llm-Proxy-Provider") == "b"
	})
	close(holdA)
	for range 2 {
		if got := <-answers; got.status != 200 || got.header.Get("X-Llm-Proxy-Provider") != "a" {
			t.Errorf("%d by %s", got.status, got.header.Get("X-Llm-Proxy-Provider"))
		}
	}
	for i := range 2 {
		if !r.target(i).Breaker.Ready(time.Now().UnixNano()) {
			t.Errorf("target %d is blamed for having as much to do as it may", i)
		}
	}
}
