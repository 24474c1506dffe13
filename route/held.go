package route

import (
	"time"

	"llmproxy/budget"
	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
)

// limit gives the caller what its credential declares: the limits that the key
// has already, if it has any.
func (b *Builder) limit(caller *Caller, c *config.Credential) {
	if c.RateLimit != nil {
		caller.Bucket = b.Buckets.Get(c.ID, *c.RateLimit)
	}
	if c.MaxConcurrency != nil {
		caller.Seats = b.Buckets.Seats(c.ID, *c.MaxConcurrency)
	}
	if c.TPMLimit != nil {
		caller.tokens = b.Buckets.Allowance(c.ID, *c.TPMLimit)
	}
	if c.Budget != nil && b.Purses != nil {
		period := budget.Every(c.BudgetPeriod.Since, c.BudgetPeriod.Until)
		caller.purse = b.Purses.Get(c.ID, int64(*c.Budget), string(c.BudgetPeriod), period)
	}
	caller.Limits = b.Metrics.KeyLimits(caller.Label, caller.Meters() || caller.Seats != nil)
	caller.Limits.BudgetFunc(caller.budgetFunc())
	if caller.Meters() {
		caller.typical = b.Buckets.Typical(c.ID)
	}
	if !c.ExpiresAt.IsZero() {
		caller.expires = c.ExpiresAt.UnixNano()
	}
}

// budgetFunc reads the purse for the metrics; nil without one.
func (c *Caller) budgetFunc() func() metrics.Budget {
	if c.purse == nil {
		return nil
	}
	return func() metrics.Budget {
		s := c.purse.State(time.Now().UnixNano())
		return metrics.Budget{Limit: s.Limit, Spent: s.Spent}
	}
}

// Meters reports whether a request of the caller must Hold something, for
// which one has to know how much it may use.
func (c *Caller) Meters() bool { return c.tokens != nil || c.purse != nil }

// Expect returns how many tokens an answer will have that nobody has bounded.
func (c *Caller) Expect() int64 { return c.typical.Expect() }

// Held is what is set aside for a request: tokens of its minute and money of
// its period. It is settled once; the zero value holds nothing.
type Held struct {
	caller *Caller
	tokens int64
	money  budget.Reservation
}

// Refusal says which limit a request meets.
type Refusal uint8

// The refusals.
const (
	NotRefused Refusal = iota
	TokensSpent
	BudgetSpent
)

// Hold sets aside what a request may use: so many tokens, at the price of the
// dearest provider that may be asked. now is monotonic enough for both a
// minute and a month: unix nanoseconds. The verdict is that of the tokens.
//
// Money is exact within this process. What other gateways spend is known a few
// seconds later (package budget).
func (c *Caller) Hold(r *Route, public string, may config.Tokens, now int64) (Held, ratelimit.Verdict, Refusal) {
	h := Held{caller: c}
	var v ratelimit.Verdict
	if h.tokens, v = c.tokens.Reserve(may.Prompt+may.Completion, now); !v.OK {
		return Held{}, v, TokensSpent
	}
	if c.purse == nil {
		return h, v, NotRefused
	}
	var paid bool
	if h.money, paid = c.purse.Reserve(int64(r.dearest(public, may)), now); !paid {
		c.tokens.Settle(h.tokens, 0, now)
		return Held{}, v, BudgetSpent
	}
	return h, v, NotRefused
}

// Settle ends a Held: the request used so many tokens and did cost so much.
// answered tells whether there was an answer to learn from.
func (h *Held) Settle(used config.Tokens, cost config.USD, answered bool, now int64) {
	if h.caller == nil {
		return
	}
	h.caller.tokens.Settle(h.tokens, used.Prompt+used.Completion, now)
	h.money.Settle(int64(cost))
	if answered {
		h.caller.typical.Learn(used.Completion)
	}
	*h = Held{}
}

// dearest is what the tokens cost at most, at any target of the route.
func (r *Route) dearest(public string, used config.Tokens) (most config.USD) {
	for t := range r.Targets {
		p := t.Provider
		most = max(most, p.Price(p.UpstreamName(public), public).Cost(used))
	}
	return most
}

// BudgetState returns what the caller has spent of its budget; ok is false if
// it has none. until is the zero time for a budget without a period.
func (c *Caller) BudgetState(now int64) (limit, spent config.USD, until time.Time, ok bool) {
	if c.purse == nil {
		return 0, 0, time.Time{}, false
	}
	s := c.purse.State(now)
	if s.Until != budget.Never {
		until = time.Unix(0, s.Until).UTC()
	}
	return config.USD(s.Limit), config.USD(s.Spent), until, true
}
