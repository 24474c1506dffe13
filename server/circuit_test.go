package server_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"llmproxy/breaker"
	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// cutting is a stream that begins and breaks off.
func cutting() fakeprovider.Answer {
	return fakeprovider.Events(chunks("one ", "two ")...).CutAfter(2, fakeprovider.RST)
}

// R04, R07: a target that begins every stream and ends none is left out after five
// in a row, and gets its share again when its streams end well. Its first events
// once counted as successes, each of which began the row anew.
func TestTargetThatCutsEveryStreamIsLeftOut(t *testing.T) {
	o := outageOf(t, always(cutting()))
	for range 5 {
		if h := listen(t, o.post(chat, helloSSE).body); h.failed == "" {
			t.Errorf("a cut stream ended in %+v", h)
		}
	}
	if s := o.target(0).State(); s != breaker.Open {
		t.Fatalf("after five cut streams it is %v", s)
	}
	if h := listen(t, o.post(chat, helloSSE).body); !h.complete() {
		t.Errorf("the sixth client hears %+v", h)
	}
	o.asked(5, 1)

	// Each try after a rest that is cut again is the next longer rest.
	since := time.Now()
	for o.target(0).Breaker.Ejections() < 2 {
		o.post(chat, helloSSE)
		if time.Since(since) > 20*time.Second {
			t.Fatal("not tried again")
		}
	}
	if n := o.primary.Count(); n != 6 {
		t.Errorf("asked %d times for two rests, want 6", n)
	}
	o.primary.Handle(nil)
	eventually(t, "the primary is back for good", func() bool {
		return o.post(chat, helloSSE).header.Get("X-Llm-Proxy-Provider") == "a"
	})
	if s := o.target(0).State(); s != breaker.Closed {
		t.Errorf("it is %v", s)
	}
}

// A stream that goes on for long is enough to let the others in after a rest: they
// do not wait for its end.
func TestLongStreamAfterARestHoldsNobodyUp(t *testing.T) {
	o := outageOf(t, always(fakeprovider.Fail(503, "overloaded", "busy")))
	for range 5 {
		o.post(chat, hello)
	}
	gate := make(chan struct{})
	long := whole("one ", "two ", "three")
	long.Gate = gate
	o.primary.Handle(always(long))
	eventually(t, "its rest is over", func() bool { return o.target(0).State() == breaker.HalfOpen })
	resp := make(chan *http.Response, 1)
	go func() {
		got, err := http.DefaultClient.Do(o.request("POST", chat, helloSSE))
		if err != nil {
			t.Error(err)
		}
		resp <- got
	}()
	gate <- struct{}{}
	got := <-resp
	defer got.Body.Close()
	if s := o.target(0).State(); got.Header.Get("X-Llm-Proxy-Provider") != "a" || s != breaker.Closed {
		t.Errorf("%s began a stream, the target is %v", got.Header.Get("X-Llm-Proxy-Provider"), s)
	}
	o.primary.Script(fakeprovider.OK(`{"choices":[]}`))
	if by := o.post(chat, hello).header.Get("X-Llm-Proxy-Provider"); by != "a" {
		t.Errorf("the next request went to %s", by)
	}
	close(gate)
}

// A stream that broke off is one failure of the provider that broke it, whatever
// became of the try to go on elsewhere; who says something else is not to blame.
func TestABrokenStreamIsOneFailure(t *testing.T) {
	f := func(name string, second fakeprovider.Answer, blamed float64) {
		t.Run(name, func(t *testing.T) {
			a, b := fakeprovider.Start(t), fakeprovider.Start(t)
			r := start(t, serves(a, b), quick, func(_ *server.Options, b *route.Builder) { b.Breaker.Consecutive = 2 })
			a.Handle(always(cutting()))
			b.Handle(always(second))
			if h := listen(t, r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body); h.failed == "" {
				t.Fatalf("the client hears %+v", h)
			}
			r.sink.wait(t, 1)
			if n := r.metric("llm_proxy_streams_truncated_total", `provider="a"`); n != 1 {
				t.Errorf("counted %v times as broken off by a", n)
			}
			if n := r.metric("llm_proxy_streams_truncated_total", `provider="b"`); n != blamed {
				t.Errorf("counted %v times as broken off by b, want %v", n, blamed)
			}
			for n := range 2 {
				if s := r.target(n).State(); s != breaker.Closed {
					t.Errorf("target %d is %v after one failure", n, s)
				}
			}
		})
	}
	f("nobody answers", fakeprovider.Fail(503, "overloaded", "busy"), 0)
	f("another answer", whole("1 ", "2"), 0)
	f("a whole answer instead", fakeprovider.OK(`{"choices":[]}`), 0)
}

// A splice that fails leaves the record with the provider whose answer it was.
func TestFailedSpliceIsRecordedWithWhoAnswered(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b), quick)
	a.Handle(always(cutting()))
	b.Handle(always(whole("1 ", "2")))
	r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice")
	if rec := r.sink.wait(t, 1); rec.Provider != "a" || rec.Attempts != 2 || rec.Outcome != usage.Truncated {
		t.Errorf("recorded %+v", rec)
	}
}

// What a drain breaks off is not the provider's doing.
func TestDrainBlamesNobody(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), func(_ *server.Options, b *route.Builder) { b.Breaker.Consecutive = 1 })
	p.Handle(always(fakeprovider.Events(chunks("one ", "two ")...).CutAfter(2, fakeprovider.Silent)))
	got, err := http.DefaultClient.Do(r.request("POST", chat, helloSSE))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	target := r.target(0)
	r.shutdown(time.Millisecond)
	r.sink.wait(t, 1)
	if n := r.metric("llm_proxy_streams_truncated_total", `provider="a"`); n != 0 || target.State() != breaker.Closed {
		t.Errorf("the provider is blamed: %v broken off, %v", n, target.State())
	}
}

// A target that is found full has not been asked: it is no attempt, for the header,
// the record and the limit of attempts alike.
func TestFullTargetIsNoAttempt(t *testing.T) {
	a, b, c := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(a, b, c)
	one := int64(1)
	for i := range 2 {
		set.Providers[i].Params.MaxConcurrency = &one
	}
	r := start(t, set, func(o *server.Options, _ *route.Builder) { o.MaxAttempts = 1 })
	hold := make(chan struct{})
	held := fakeprovider.OK(`{"choices":[]}`)
	held.Hold = hold
	first := make(chan answer, 2)
	for _, p := range []*fakeprovider.Provider{a, b} {
		p.Script(held)
		go func() { first <- r.post(chat, hello) }()
		p.Next(t)
	}
	// c rests: everybody is unfit, and each is asked all the same.
	for range 5 {
		pass, _ := r.target(2).Breaker.Enter(route.Now())
		r.target(2).Failed(pass, route.Now())
	}
	got := r.post(chat, hello)
	if n := got.header.Get("X-Llm-Proxy-Attempts"); got.status != 200 || n != "1" || got.header.Get("X-Llm-Proxy-Provider") != "c" {
		t.Errorf("%d by %s at attempt %s", got.status, got.header.Get("X-Llm-Proxy-Provider"), n)
	}
	if rec := r.sink.wait(t, 1); rec.Attempts != 1 || rec.Provider != "c" {
		t.Errorf("recorded %+v", rec)
	}
	close(hold)
	<-first
	<-first
}

// Where everybody is full nobody was asked; the request is recorded all the same.
func TestEverybodyFull(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	one := int64(1)
	set.Providers[0].Params.MaxConcurrency = &one
	r := start(t, set)
	hold := make(chan struct{})
	held := fakeprovider.OK(`{"choices":[]}`)
	held.Hold = hold
	p.Script(held)
	first := make(chan answer, 1)
	go func() { first <- r.post(chat, hello) }()
	p.Next(t)
	got := r.post(chat, hello)
	if got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("X-Llm-Proxy-Attempts") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if rec := r.sink.wait(t, 1); rec.Attempts != 0 || rec.Outcome != usage.Failed || rec.Source != usage.None {
		t.Errorf("recorded %+v", rec)
	}
	close(hold)
	<-first
}

// R08: when everybody is down requests are tried all the same, each gets one typed
// answer, and the first that asks after they heal is served.
func TestEverybodyDownAndBack(t *testing.T) {
	f := func(name string, bad fakeprovider.Answer, code string) {
		t.Run(name, func(t *testing.T) {
			a, b, c := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
			set := serves(a, b, c)
			for i := range set.Providers {
				set.Providers[i].Priority = 0
			}
			r := start(t, set, impatient)
			all := []*fakeprovider.Provider{a, b, c}
			asked := func() (n int) {
				for _, p := range all {
					n += p.Count()
				}
				return n
			}
			for _, p := range all {
				p.Handle(always(bad))
			}
			for i := range 60 {
				body, before := []string{hello, helloSSE}[i%2], asked()
				got := r.post(chat, body)
				if c := got.code(t); got.status < 500 && got.status != 429 || c != code {
					t.Fatalf("request %d: %d %q: %s", i, got.status, c, got.body)
				}
				if n := asked() - before; n < 1 || n > 3 {
					t.Fatalf("request %d: providers were asked %d times", i, n)
				}
			}
			for _, p := range all {
				p.Handle(nil)
			}
			healed := time.Now()
			for i := range 20 {
				if got := r.post(chat, hello); got.status != 200 {
					t.Errorf("%v after they healed request %d gets %d %s", time.Since(healed), i, got.status, got.body)
				}
			}
		})
	}
	f("503", fakeprovider.Fail(503, "overloaded", "busy"), "overloaded")
	f("500", fakeprovider.Fail(500, "server_error", "boom"), "server_error")
	f("key refused", fakeprovider.Fail(401, "invalid_api_key", "who?"), "upstream_auth_failed")
	f("garbage", fakeprovider.Answer{Raw: "garbage\r\n\r\n", Ending: fakeprovider.FIN}, "upstream_error")
	f("no stream begins, and whole answers are garbage", fakeprovider.Events(": hello\n\n"), "upstream_error")
}

// R09, R27: while one of three providers is down, what is sent besides the clients'
// requests is the budget's share of them and the floor, also where no breaker
// helps; with the breakers it is next to nothing.
func TestFailoverSpend(t *testing.T) {
	f := func(name string, breaking func(*server.Options, *route.Builder), most func(n int, took time.Duration) int) {
		t.Run(name, func(t *testing.T) {
			a, b, c := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
			a.Handle(always(fakeprovider.Fail(503, "overloaded", "busy")))
			set := serves(a, b, c)
			for i := range set.Providers {
				set.Providers[i].Priority = 0
			}
			r := start(t, set, breaking)
			const clients, each = 4, 150
			done := make(chan struct{}, clients)
			began := time.Now()
			for range clients {
				go func() {
					defer func() { done <- struct{}{} }()
					for range each {
						r.post(chat, hello)
					}
				}()
			}
			for range clients {
				<-done
			}
			extra, most := a.Count()+b.Count()+c.Count()-clients*each, most(clients*each, time.Since(began))
			if extra < 1 || extra > most {
				t.Errorf("%d requests more than the clients' %d, want 1 to %d", extra, clients*each, most)
			}
		})
	}
	f("the budget alone",
		func(o *server.Options, b *route.Builder) {
			o.RetryBudget, b.Breaker = 10, breaker.Settings{Consecutive: 1000, MinRequests: 100_000}
		},
		func(n int, took time.Duration) int { return n/10 + 10*(int(took.Seconds())+2) })
	f("with breakers",
		func(o *server.Options, _ *route.Builder) { o.RetryBudget = 20 },
		func(_ int, took time.Duration) int { return 5 + 4 + 5 + int(took.Seconds()) }) // the row, who was under way, the tries
}

// R06, R07: a refused key leaves the provider out as auth, in the metrics too, and
// a corrected one brings it back with the next request.
func TestCorrectedKeyIsBackAtOnce(t *testing.T) {
	for _, status := range []int{401, 403} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			o := outageOf(t, func(q *fakeprovider.Request) fakeprovider.Answer {
				if q.Header.Get("Authorization") != "Bearer the-right-key" {
					return fakeprovider.Fail(status, "invalid_api_key", "who?")
				}
				return fakeprovider.OK(`{"choices":[]}`)
			})
			for range 3 {
				if got := o.post(chat, hello); got.status != 200 {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
			circuit := func() float64 {
				return o.metric("llm_proxy_provider_circuit_state", `model="gpt-4"`, `provider="a"`)
			}
			health := func() float64 { return o.metric("llm_proxy_provider_health", `provider="a"`) }
			if circuit() != 4 || health() != 0 || o.target(0).State() != breaker.Auth {
				t.Errorf("circuit %v, health %v, %v", circuit(), health(), o.target(0).State())
			}
			o.post(chat, hello)
			o.asked(3, 4)

			set := *o.source.set.Load()
			set.Providers = append([]config.Provider(nil), set.Providers...)
			set.Providers[0].APIKey = "the-right-key"
			set.Version++
			o.source.set.Store(&set)
			if _, err := o.live.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if circuit() != 0 || health() != 1 {
				t.Errorf("with the new key: circuit %v, health %v", circuit(), health())
			}
			if got := o.post(chat, hello); got.header.Get("X-Llm-Proxy-Provider") != "a" {
				t.Errorf("the next request went to %s", got.header.Get("X-Llm-Proxy-Provider"))
			}
		})
	}
}
