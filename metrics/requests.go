package metrics

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Key is what one finished request is counted under.
type Key struct{ Method, Endpoint, Model, Provider, APIKey Label }

// Requests counts the finished requests of one Key:
// llm_proxy_requests_total, llm_proxy_request_duration_seconds and
// llm_proxy_tokens_total.
//
// Look it up when the request ends and do not keep it: after Forget it may no
// longer be shown, and a new look-up makes a new one.
type Requests struct {
	entry
	registry *Registry
	key      Key
	duration Durations
	statuses atomic.Pointer[[]statusCount] // replaced under registry.mu, usually one to three
	tokens   atomic.Pointer[tokenCounts]   // nil until the first token
}

type statusCount struct {
	status int // 0 is "other"
	n      *Counter
}

// Requests returns the counts of k. It takes no lock and allocates nothing once
// k has been counted.
func (r *Registry) Requests(k Key) *Requests {
	if q := r.requests.get(k); q != nil {
		return q
	}
	return r.addRequests(k)
}

// addRequests is the slow path of Requests: a key's first request, or one for
// which there is no room.
func (r *Registry) addRequests(k Key) *Requests {
	lines := requestBuckets.lines()
	if r.reserve(lines, 0) {
		return r.newRequests(k)
	}
	r.seriesDropped.Inc()
	k.APIKey = Other
	if q := r.requests.get(k); q != nil {
		return q
	}
	if r.reserve(lines, r.maxSeries/10) {
		return r.newRequests(k)
	}
	k = Key{Other, Other, Other, Other, Other}
	if q := r.requests.get(k); q != nil {
		return q
	}
	r.series.Add(lines) // this one always fits
	return r.newRequests(k)
}

// newRequests registers k, whose series are booked. Another goroutine may have
// been faster.
func (r *Registry) newRequests(k Key) *Requests {
	q := &Requests{registry: r, key: k}
	q.labels = r.labels.render("method", k.Method, "endpoint", k.Endpoint,
		"model", k.Model, "provider", k.Provider, "api_key_name", k.APIKey)
	q.duration.init(requestBuckets)
	q.statuses.Store(new([]statusCount))

	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.requests.get(k); old != nil {
		r.series.Add(-requestBuckets.lines())
		return old
	}
	r.requests.addLocked(k, q)
	return q
}

// Done counts one finished request. A status that is no HTTP status counts as
// "other".
func (q *Requests) Done(status int, took time.Duration) {
	q.duration.Observe(took)
	if status < 100 || status > 599 {
		status = 0
	}
	for _, s := range *q.statuses.Load() {
		if s.status == status {
			s.n.Inc()
			return
		}
	}
	q.addStatus(status).Inc()
}

// addStatus is the slow path of Done: a status that is new to q.
func (q *Requests) addStatus(status int) *Counter {
	r := q.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *q.statuses.Load()
	for {
		for _, s := range old {
			if s.status == status {
				return s.n
			}
		}
		if status == 0 || r.series.Load() < r.maxSeries+r.maxSeries/10 {
			break
		}
		r.seriesDropped.Inc()
		status = 0 // this one always fits
	}
	if r.requests.get(q.key) == q { // it may have been dropped meanwhile
		r.series.Add(1)
	}
	statuses := append(slices.Clone(old), statusCount{status, new(Counter)})
	q.statuses.Store(&statuses)
	return statuses[len(old)].n
}

func (s statusCount) text() string {
	if s.status == 0 {
		return "other"
	}
	return strconv.Itoa(s.status)
}

// tokensKey is what tokens are counted under: methods and endpoints are summed.
type tokensKey struct{ Model, Provider, APIKey Label }

type tokenCounts struct {
	entry
	key      tokensKey
	n        [len(tokenTypes)]Counter
	cost     Counter // millionths of a US dollar
	unpriced Counter // requests without a price
}

const tokenLines = int64(len(tokenTypes)) + 2

var tokenTypes = [...]string{"prompt", "completion", "cached", "reasoning"}

// Cost adds what one request did cost, in millionths of a US dollar. Call it
// for every request that Tokens is called for.
func (q *Requests) Cost(millionths int64, priced bool) {
	t := q.used()
	t.cost.AddInt64(max(millionths, 0))
	if !priced {
		t.unpriced.Inc()
	}
}

// Tokens adds what one request used. Cached are part of the prompt, reasoning
// part of the completion. Below zero is nothing.
func (q *Requests) Tokens(prompt, completion, cached, reasoning int64) {
	t := q.used()
	for i, n := range [...]int64{prompt, completion, cached, reasoning} {
		t.n[i].AddInt64(max(n, 0))
	}
}

// used returns where tokens and money are counted.
func (q *Requests) used() *tokenCounts {
	t := q.tokens.Load()
	if t == nil {
		t = q.registry.tokenCounts(tokensKey{q.key.Model, q.key.Provider, q.key.APIKey})
		q.tokens.Store(t)
	}
	return t
}

// tokenCounts returns the counts of k, or those that k is counted under for
// want of room, as addRequests does it.
func (r *Registry) tokenCounts(k tokensKey) *tokenCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tokens[k]; t != nil {
		return t
	}
	if r.reserve(tokenLines, 0) {
		return r.newTokensLocked(k)
	}
	r.seriesDropped.Inc()
	k.APIKey = Other
	if t := r.tokens[k]; t != nil {
		return t
	}
	if r.reserve(tokenLines, r.maxSeries/10) {
		return r.newTokensLocked(k)
	}
	k = tokensKey{Other, Other, Other}
	if t := r.tokens[k]; t != nil {
		return t
	}
	r.series.Add(tokenLines) // this one always fits
	return r.newTokensLocked(k)
}

// newTokensLocked registers k, whose series are booked; it needs Registry.mu.
func (r *Registry) newTokensLocked(k tokensKey) *tokenCounts {
	t := &tokenCounts{key: k}
	t.labels = r.labels.render("model", k.Model, "provider", k.Provider, "api_key_name", k.APIKey)
	r.tokens[k] = t
	return t
}
