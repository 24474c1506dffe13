package server_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"llmproxy/breaker"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// A provider that says when to come back, soon, is waited for if nobody of its
// priority is left.
func TestRetryAfterIsWaitedFor(t *testing.T) {
	f := func(name string, limited fakeprovider.Answer, wait time.Duration) {
		t.Run(name, func(t *testing.T) {
			p, lower := fakeprovider.Start(t), fakeprovider.Start(t)
			r := start(t, serves(p, lower))
			p.Script(limited)
			began := time.Now()
			got := r.post(chat, hello)
			took := time.Since(began)
			if got.status != 200 || p.Count() != 2 || lower.Count() != 0 {
				t.Errorf("%d; asked %d and %d times", got.status, p.Count(), lower.Count())
			}
			if took < wait || took > wait+2*time.Second {
				t.Errorf("took %v, want a little over %v", took, wait)
			}
		})
	}
	with := func(header string) fakeprovider.Answer {
		a := fakeprovider.Fail(429, "rate_limit_exceeded", "slow down")
		a.Header = []string{header}
		return a
	}
	f("retry-after-ms", with("retry-after-ms: 150"), 150*time.Millisecond)
	f("seconds", with("Retry-After: 1"), time.Second)
	f("a date", with("Retry-After: "+time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat)), 0)
}

// A wait that is too long, or not told, is the next priority's turn.
func TestLongRetryAfterGoesOn(t *testing.T) {
	f := func(limited fakeprovider.Answer) {
		t.Helper()
		p, lower := fakeprovider.Start(t), fakeprovider.Start(t)
		r := start(t, serves(p, lower))
		p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return limited })
		began := time.Now()
		if got := r.post(chat, hello); got.status != 200 || p.Count() != 1 || lower.Count() != 1 {
			t.Errorf("%d; asked %d and %d times", got.status, p.Count(), lower.Count())
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
	}
	f(fakeprovider.Limited(10 * time.Second))
	f(fakeprovider.Fail(429, "rate_limit_exceeded", "slow down"))
}

// A lone provider that answers 500 is asked once more after a pause; what it
// says then is the client's.
func TestServerErrorIsRepeatedOnce(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Script(fakeprovider.Fail(500, "server_error", "boom"))
	if got := r.post(chat, hello); got.status != 200 || got.header.Get("X-Llm-Proxy-Attempts") != "2" {
		t.Errorf("%d after %s attempts", got.status, got.header.Get("X-Llm-Proxy-Attempts"))
	}
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(500, "server_error", "boom") })
	before := p.Count()
	if got := r.post(chat, hello); got.status != 500 || p.Count()-before != 2 {
		t.Errorf("%d after %d attempts", got.status, p.Count()-before)
	}
}

// A prompt that is too long goes to a larger model of a lower priority, never
// to another of the same.
func TestContextLengthGoesToLowerPriority(t *testing.T) {
	tooLong := func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Fail(400, "context_length_exceeded", "too long")
	}
	a, b, larger := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
	a.Handle(tooLong)
	b.Handle(tooLong)
	set := serves(a, b, larger)
	set.Providers[1].Priority = 0
	r := start(t, set)
	if got := r.post(chat, hello); got.status != 200 || a.Count()+b.Count() != 1 || larger.Count() != 1 {
		t.Errorf("%d; asked %d, %d and %d times", got.status, a.Count(), b.Count(), larger.Count())
	}
	larger.Handle(tooLong)
	if got := r.post(chat, hello); got.status != 400 || got.code(t) != "context_length_exceeded" {
		t.Errorf("nobody's context is long enough: %d %s", got.status, got.body)
	}
	if r.target(0).Breaker.State(time.Now().UnixNano()) != breaker.Closed {
		t.Error("a provider is blamed for a long prompt")
	}
}

// What a provider refuses for its content nobody else is asked.
func TestContentPolicyIsFinal(t *testing.T) {
	for _, code := range []string{"content_policy_violation", "content_filter"} {
		a, b := fakeprovider.Start(t), fakeprovider.Start(t)
		r := start(t, serves(a, b))
		a.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(400, code, "no") })
		if got := r.post(chat, hello); got.status != 400 || got.code(t) != code || b.Count() != 0 {
			t.Errorf("%s: %d %s; the other was asked %d times", code, got.status, got.body, b.Count())
		}
	}
}

// An outage is not multiplied: beyond the floor, retries are a share of the requests.
func TestRetryBudget(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	down := func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(503, "overloaded", "busy") }
	a.Handle(down)
	b.Handle(down)
	set := serves(a, b)
	r := start(t, set, func(o *server.Options, _ *route.Builder) { o.RetryBudget = 20 })
	const n = 200
	for range n {
		r.post(chat, hello)
	}
	if asked := a.Count() + b.Count(); asked > n*12/10+20 {
		t.Errorf("%d requests became %d", n, asked)
	}
	if r.metric("llm_proxy_retry_budget_spent_total") == 0 {
		t.Error("the spent budget was not counted")
	}
}

// A client that leaves during a pause between two attempts ends it.
func TestClientLeavesInBackoff(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Limited(3 * time.Second) })
	c := r.dial(chat, hello)
	p.Next(t)
	eventually(t, "the pause has begun", func() bool { return r.metric("llm_proxy_retries_total", `reason="rate_limited"`) == 1 })
	left := time.Now()
	_ = c.Close()
	rec := r.sink.wait(t, 1)
	if took := time.Since(left); took > leaveWithin*slack || rec.Outcome != usage.Cancelled {
		t.Errorf("ended after %v as %v", took, rec.Outcome)
	}
	if n := r.metric("llm_proxy_upstream_cancelled_total", `phase="backoff"`); n != 1 || p.Count() != 1 {
		t.Errorf("cancelled in back-off: %v; asked %s times", n, strconv.Itoa(p.Count()))
	}
}
