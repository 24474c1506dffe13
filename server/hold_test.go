package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"llmproxy/budget"
	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// quotas gives the client's key limits, and gpt-4 the price of a dollar for
// every token.
func quotas(p *fakeprovider.Provider, change func(*config.Credential)) *config.Set {
	set := serves(p)
	change(&set.Credentials[0])
	set.Prices = []config.Price{{Model: "real-gpt-4", Input: 1e6 * config.OneUSD, Output: 1e6 * config.OneUSD}}
	return set
}

func withPurses(_ *server.Options, b *route.Builder) { b.Purses = budget.NewPurses() }

// asks is a request for so many tokens at most. Its prompt is estimated at
// fewer than 30.
func asks(most int) string {
	return strings.Replace(hello, "{", `{"max_tokens":`+strconv.Itoa(most)+`,`, 1)
}

// says answers with so much usage.
func says(prompt, completion int64) func(*fakeprovider.Request) fakeprovider.Answer {
	return fakeprovider.Reply{Usage: &fakeprovider.Usage{Prompt: prompt, Completion: completion}}.Answer
}

// remaining is what an answer says is left of the tokens.
func (a answer) remaining(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(a.header.Get("X-Ratelimit-Remaining-Tokens"))
	if err != nil {
		t.Fatalf("%d without the tokens that are left: %v", a.status, a.header)
	}
	return n
}

// A request takes as many tokens as it may use, and gives back what it did not.
func TestTokensPerMinute(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, quotas(p, func(c *config.Credential) { c.TPMLimit = new(int64(1000)) }))
	p.Handle(says(10, 20))
	a := r.post(chat, asks(900))
	if a.status != 200 || a.header.Get("X-Ratelimit-Limit-Tokens") != "1000" || a.remaining(t) > 100 || a.remaining(t) < 50 {
		t.Errorf("got %d with %v", a.status, a.header)
	}
	r.sink.wait(t, 1)

	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Answer{Delay: time.Hour} })
	c := r.dial(chat, asks(800)) // 970 are free again, and a few have grown back
	eventually(t, "the provider is asked", func() bool { return len(p.Requests()) == 2 })
	a = r.post(chat, asks(800))
	if a.status != 429 || a.code(t) != "rate_limit_exceeded" || a.header.Get("Retry-After") == "" || a.remaining(t) > 200 {
		t.Errorf("with all reserved: %d %s, %v", a.status, a.body, a.header)
	}
	if n := r.metric("llm_proxy_quota_refused_total", `limit="tokens"`); n != 1 {
		t.Errorf("counted %v refusals", n)
	}
	leave(c, false)
	r.sink.wait(t, 2)
	p.Handle(says(10, 20))
	if a := r.post(chat, asks(800)); a.status != 200 {
		t.Errorf("after the client left: %d %s", a.status, a.body)
	}
	if r.sink.wait(t, 3); r.sink.len() != 3 {
		t.Errorf("%d records: who was refused was not admitted", r.sink.len())
	}
}

// A budget is spent to its end and not beyond it, and says so in OpenAI's words.
func TestBudget(t *testing.T) {
	p := fakeprovider.Start(t)
	dollars := 100 * config.OneUSD
	r := start(t, quotas(p, func(c *config.Credential) { c.Budget = &dollars }), withPurses)
	p.Handle(says(20, 10))
	for n := 1; n <= 3; n++ { // 30 dollars each
		if a := r.post(chat, asks(10)); a.status != 200 {
			t.Fatalf("request %d: %d %s", n, a.status, a.body)
		}
		if rec := r.sink.wait(t, n); rec.CostMicroUSD != 30_000_000 {
			t.Errorf("recorded %+v", rec)
		}
	}
	a := r.post(chat, asks(10))
	if a.status != 429 || a.code(t) != "insufficient_quota" || a.header.Get("Retry-After") != "" {
		t.Errorf("with 10 dollars left: %d %s %v", a.status, a.body, a.header)
	}
	for name, want := range map[string]float64{
		"llm_proxy_cost_usd_total": 90, "llm_proxy_budget_spent_usd": 90, "llm_proxy_budget_limit_usd": 100,
	} {
		if got := r.metric(name, `api_key_name="tester"`); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := r.metric("llm_proxy_quota_refused_total", `limit="budget"`); n != 1 {
		t.Errorf("counted %v refusals", n)
	}
	if a := r.post(chat, asks(10), "Authorization: Bearer "+anotherKey); a.status != 200 {
		t.Errorf("another key: %d", a.status)
	}
}

// A model without a price costs nothing, and is counted.
func TestNoPrice(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, quotas(p, func(*config.Credential) {}))
	r.post(chat, strings.Replace(hello, "gpt-4", "gpt-5", 1))
	if rec := r.sink.wait(t, 1); rec.CostMicroUSD != 0 || rec.Prompt == 0 {
		t.Errorf("recorded %+v", rec)
	}
	if n := r.metric("llm_proxy_unpriced_requests_total"); n != 1 {
		t.Errorf("counted %v", n)
	}
}

// As many requests as there are seats are under way, whatever ends them.
func TestSeatsOfAKey(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, quotas(p, func(c *config.Credential) { c.MaxConcurrency = new(int64(2)) }))
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Answer{Delay: time.Hour} })
	first, second := r.dial(chat, hello), r.dial(chat, hello)
	eventually(t, "both are with the provider", func() bool { return len(p.Requests()) == 2 })
	a := r.post(chat, hello)
	if a.status != 429 || a.code(t) != "concurrency_limit_exceeded" || a.header.Get("Retry-After") != "1" {
		t.Errorf("a third at once: %d %s %v", a.status, a.body, a.header)
	}
	if n := r.metric("llm_proxy_quota_refused_total", `limit="concurrency"`); n != 1 {
		t.Errorf("counted %v refusals", n)
	}
	leave(first, true)
	leave(second, false)
	r.sink.wait(t, 2)
	p.Handle(fakeprovider.OpenAI)
	for range 5 { // one after the other, errors of the client's own included
		r.post(chat, `{"model":"nobody serves this"}`)
		r.post(chat, `{`)
		if a := r.post(chat, hello); a.status != 200 {
			t.Fatalf("with free seats: %d %s", a.status, a.body)
		}
	}
}

func TestExpiredKey(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, quotas(p, func(c *config.Credential) { c.ExpiresAt = time.Now().Add(-time.Second) }))
	for _, a := range []answer{r.post(chat, hello), r.get("/v1/models")} {
		if a.status != 401 || a.code(t) != "invalid_api_key" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	r = start(t, quotas(p, func(c *config.Credential) { c.ExpiresAt = time.Now().Add(time.Hour) }))
	if a := r.post(chat, hello); a.status != 200 {
		t.Errorf("an hour before: %d", a.status)
	}
}

// Whatever becomes of a request, what it had set aside is free at its end, but
// for what it used.
func TestNothingStaysHeld(t *testing.T) {
	const limit = 1_000_000
	f := func(name string, used int, end func(r *rig, p *fakeprovider.Provider)) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			dollars := 1_000_000 * config.OneUSD
			set := quotas(p, func(c *config.Credential) { c.TPMLimit, c.Budget = new(int64(limit)), &dollars })
			idle := int64(100)
			set.Providers[0].Params.IdleTimeoutMS = &idle
			r := start(t, set, withPurses)
			end(r, p)
			r.sink.wait(t, 1)
			_, spent, _, _ := r.live.Table().Caller([]byte(clientKey)).BudgetState(time.Now().UnixNano())
			if rec := r.sink.all()[0]; int(rec.Prompt+rec.Completion) != used || int(spent/config.OneUSD) != used {
				t.Errorf("%s are spent and %+v is recorded, want %d", spent, rec, used)
			}
			p.Handle(says(0, 1))
			// Of the next, all but its prompt, its single token and what was used is left.
			if left := r.post(chat, asks(1)).remaining(t); left < limit-used-40 {
				t.Errorf("%d of %d tokens are left", left, limit)
			}
		})
	}
	whole, stream := asks(5000), strings.Replace(asks(5000), "{", `{"stream":true,`, 1)
	posts := func(body string, handle func(*fakeprovider.Request) fakeprovider.Answer) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, p *fakeprovider.Provider) {
			p.Handle(handle)
			r.post(chat, body)
		}
	}
	f("an answer", 30, posts(whole, says(10, 20)))
	f("a stream", 30, posts(stream, says(10, 20)))
	f("a provider's error", 0, posts(whole, func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Fail(http.StatusBadRequest, "bad", "no")
	}))
	f("a provider that fails", 0, posts(whole, func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Fail(http.StatusServiceUnavailable, "overloaded", "busy")
	}))
	f("a client that leaves", 12, // what the provider was sent
		func(r *rig, p *fakeprovider.Provider) {
			p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Answer{Delay: time.Hour} })
			c := r.dial(chat, whole)
			eventually(r.t, "the provider is asked", func() bool { return len(p.Requests()) == 1 })
			leave(c, true)
		})
}

// A stream that is cut is charged for what had come by then.
func TestCutStreamIsCharged(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, quotas(p, func(c *config.Credential) { c.TPMLimit = new(int64(100_000)) }))
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.OpenAI(q).CutAfter(3, fakeprovider.RST)
	})
	r.post(chat, strings.Replace(asks(5000), "{", `{"stream":true,`, 1))
	rec := r.sink.wait(t, 1)
	if rec.Source != usage.Partial || rec.Prompt == 0 || rec.CostMicroUSD != (rec.Prompt+rec.Completion)*1e6 {
		t.Errorf("recorded %+v", rec)
	}
}
