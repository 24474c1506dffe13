package server

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/upstream"
)

const (
	// repeatPause is about how long a target that answered 500 is left alone
	// before it is asked once more.
	repeatPause = 100 * time.Millisecond
	// longestWait is how long a request waits for a target that said when to
	// come back; for longer it is not worth it.
	longestWait = 3 * time.Second
)

// verdict is what a failed attempt leads to. The zero value is the end: the
// provider's answer is the client's.
type verdict struct {
	next   bool          // another target may be asked
	lower  bool          // but only one of a lower tier
	repeat bool          // the same target may be asked once more, after wait
	wait   time.Duration // what it asked for, or what is decent
}

// judge decides what a failed attempt leads to, and what it says of the
// provider's health. Before the commit point it costs the client nothing.
// What the provider said, if it spoke, stands in x.failure.
func (s *Server) judge(x *exchange, t *route.Target, err error) verdict {
	var spoke *spokeError
	switch {
	case errors.Is(err, upstream.ErrBusy):
		x.abandoned()
		return verdict{next: true} // not the provider's failure: it has as much to do as it was given
	case !errors.As(err, &spoke):
		x.failure.reset()
		x.failed()
		return verdict{next: true}
	}
	switch status := spoke.status; {
	case status == 429:
		wait, told := retryAfter(&x.failure.headers, time.Now())
		until := int64(0)
		if told {
			until = now() + int64(wait)
		}
		x.limited(until)
		return verdict{next: true, repeat: told && wait <= longestWait, wait: wait}
	case status == 500:
		x.failed()
		return verdict{next: true, repeat: true, wait: repeatPause/2 + rand.N(repeatPause)}
	case status > 500:
		x.failed()
		return verdict{next: true}
	case status == 401, status == 403:
		x.refused()
		return verdict{next: true}
	case status == 400 && bytes.Contains(x.failure.body, contextTooLong):
		x.succeeded()
		return verdict{next: true, lower: true}
	case status == 404 && bytes.Contains(x.failure.body, modelNotFound):
		x.succeeded() // no refusal: where every model is served, clients choose the names
		return verdict{next: true}
	}
	x.succeeded()
	return verdict{}
}

// contextTooLong is the code of a prompt that is too long for the model.
var contextTooLong = []byte(`"context_length_exceeded"`)

// modelNotFound is the code of a model that the gateway's account at this
// provider lacks; that of another may have it.
var modelNotFound = []byte(`"model_not_found"`)

// follow returns the target to ask after t has failed: another one, or the
// same once more when no other of its tier is left and it is worth the wait.
// It returns nil when there is none, the request has had its attempts, or the
// retry budget is spent.
func (s *Server) follow(x *exchange, t *route.Target, v verdict) *route.Target {
	if v.lower {
		x.tried.OnlyBelow(t)
	}
	next, pass := x.route.Pick(rand.Uint64(), &x.tried, now())
	repeat := v.repeat && !x.repeated && (next == nil || next.Tier > t.Tier)
	allowed := (repeat || next != nil) && s.mayRetry(x)
	if next != nil && (repeat || !allowed) {
		next.Breaker.Abandoned(pass, now())
	}
	if !allowed {
		return nil
	}
	t.Provider.Meter.Retried(reasonOf(x.lastErr))
	if !repeat {
		x.tried.Add(next)
		x.owe(next, pass)
		return next
	}
	x.repeated = true
	x.pause(v.wait)
	pass, _ = t.Breaker.Enter(now())
	x.owe(t, pass)
	return t
}

// mayRetry reports whether the request may make another attempt, and takes it
// from the budget. Passing over a provider that is full is none.
func (s *Server) mayRetry(x *exchange) bool {
	if x.asked >= s.MaxAttempts {
		return false
	}
	if !errors.Is(x.lastErr, upstream.ErrBusy) && !s.budget.take(now()) {
		s.metrics.RetryBudgetSpent.Inc()
		return false
	}
	return true
}

// pause waits, or until the exchange is ended from outside.
func (x *exchange) pause(d time.Duration) {
	x.waiting = true
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		x.waiting = false
	case <-x.wake:
	}
}

// retryAfter reads how long the provider wants to be left alone:
// retry-after-ms, or Retry-After in seconds or as a date (RFC 9110, 10.2.3).
// told is false if it did not say; then it is a second.
func retryAfter(h *upstream.Header, now time.Time) (wait time.Duration, told bool) {
	if ms, err := strconv.ParseFloat(string(h.Value("retry-after-ms")), 64); err == nil && ms >= 0 {
		return fromSeconds(ms / 1000), true
	}
	v := string(h.Value("retry-after"))
	if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 {
		return fromSeconds(s), true
	}
	if at, err := fasthttp.ParseHTTPDate([]byte(v)); err == nil {
		return max(at.Sub(now), 0), true
	}
	return time.Second, false
}

// fromSeconds converts without overflow; what is too long is a day.
func fromSeconds(s float64) time.Duration {
	return time.Duration(min(s, 86400) * float64(time.Second))
}

// budget bounds retries to a share of the requests, so that an outage is not
// multiplied, with a floor for gateways that have little to do. It is a token
// bucket that requests fill (Finagle's RetryBudget): one atomic word.
type budget struct {
	percent int64             // of the requests
	balance atomic.Int64      // in hundredths of a retry
	floor   *ratelimit.Bucket // retries a second that are always allowed
}

const (
	retryFloor  = 10
	mostSavedUp = 100 * 100 // hundred retries
)

func (b *budget) init(percent int64) {
	b.percent = percent
	b.floor = ratelimit.NewBuckets().Get(0, retryFloor)
}

// deposit is made for each request.
func (b *budget) deposit() {
	if b.balance.Load() < mostSavedUp {
		b.balance.Add(b.percent)
	}
}

// take reports whether a retry is allowed now.
func (b *budget) take(now int64) bool {
	for {
		have := b.balance.Load()
		if have < 100 {
			return b.floor.Take(now).OK
		}
		if b.balance.CompareAndSwap(have, have-100) {
			return true
		}
	}
}
