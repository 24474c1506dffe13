package route

import (
	"time"

	"llmproxy/balance"
	"llmproxy/breaker"
	"llmproxy/metrics"
)

// Route is the way to one model: every target that serves it, best tier first.
// It is immutable and shared by all requests for the model.
type Route struct {
	Model   metrics.Label // the declared name or pattern; metrics.Other when only providers that serve everything are left
	Created time.Time     // when the first provider that serves it was declared

	declared bool // by its full name
	tiers    []tier
}

// Declared reports whether some provider declares the model by its full name.
func (r *Route) Declared() bool { return r.declared }

// tier is targets of one rank: they share the traffic by weight, and the next
// tier is asked only when none of them is fit.
type tier struct {
	targets []Target
	choice  *balance.Alias
}

// MaxTried is how many targets a request can remember: it asks no more.
const MaxTried = 8

// Tried remembers which targets a request has asked. Its zero value is none.
type Tried struct {
	n    int
	at   [MaxTried]*Target
	from int // the first tier that may still be asked
}

// Add notes that the target has been asked. After MaxTried of them every
// target counts as asked.
func (t *Tried) Add(target *Target) {
	if t.n < len(t.at) {
		t.at[t.n] = target
	}
	t.n++
}

// OnlyBelow leaves only the tiers below the target's to be asked.
func (t *Tried) OnlyBelow(target *Target) { t.from = target.Tier + 1 }

// Has reports whether the target has been asked.
func (t *Tried) Has(target *Target) bool {
	if t.n >= len(t.at) || target.Tier < t.from {
		return true
	}
	for i := range t.n {
		if t.at[i] == target {
			return true
		}
	}
	return false
}

// Pick draws the target to ask: of the first tier that has a fit one, in
// proportion to weight. When no target is fit it gives an untried one all the
// same, because a provider that was bad a moment ago is a better chance than
// none. It returns nil when every target has been tried.
//
// The target's breaker has taken the request in: the pass must be reported.
// random is 64 uniformly random bits; now is in unix nanoseconds.
func (r *Route) Pick(random uint64, tried *Tried, now int64) (*Target, breaker.Pass) {
	for i := range r.tiers {
		if t, pass := r.tiers[i].pick(random, tried, now); t != nil {
			return t, pass
		}
	}
	for i := range r.tiers {
		if t := r.tiers[i].anyUntried(random, tried); t != nil {
			pass, _ := t.Breaker.Enter(now)
			return t, pass
		}
	}
	return nil, breaker.Pass{}
}

func (t *tier) pick(random uint64, tried *Tried, now int64) (*Target, breaker.Pass) {
	// Fast path: the weighted choice is fit.
	if x := &t.targets[t.choice.Pick(random)]; !tried.Has(x) {
		if pass, ok := x.fit(now); ok {
			return x, pass
		}
	}
	// Slow path: the next fit one after a random start.
	n := len(t.targets)
	for i, start := 0, int(random%uint64(n)); i < n; i++ {
		if x := &t.targets[(start+i)%n]; !tried.Has(x) {
			if pass, ok := x.fit(now); ok {
				return x, pass
			}
		}
	}
	return nil, breaker.Pass{}
}

func (t *tier) anyUntried(random uint64, tried *Tried) *Target {
	n := len(t.targets)
	for i, start := 0, int(random%uint64(n)); i < n; i++ {
		if x := &t.targets[(start+i)%n]; !tried.Has(x) {
			return x
		}
	}
	return nil
}

// Targets calls yield for every target, in the order of the tiers.
func (r *Route) Targets(yield func(*Target) bool) {
	for i := range r.tiers {
		for j := range r.tiers[i].targets {
			if !yield(&r.tiers[i].targets[j]) {
				return
			}
		}
	}
}
