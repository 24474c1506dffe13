package metrics

import (
	"math"
	"sync/atomic"
)

// KeyLimits counts what the limits of one client key refused:
// llm_proxy_rate_limited_total and, of a key whose use is metered,
// llm_proxy_quota_refused_total and the state of its budget.
type KeyLimits struct {
	entry
	apiKey Label

	Requests                    Counter // refused by the rate limit
	Tokens, Budget, Concurrency Counter // refused by the quota of that name

	metered bool // the last three are shown, and the budget; under Registry.mu
	budget  atomic.Pointer[func() Budget]
}

// Budget is what a client key may spend and has spent in its present period,
// in millionths of a US dollar.
type Budget struct{ Limit, Spent int64 }

const (
	rateLines  = 1
	quotaLines = 5 // three quotas, and two of the budget
)

// KeyLimits returns the counts of one client key. Resolve it when a table is
// built. metered: more than its rate is limited.
func (r *Registry) KeyLimits(apiKey Label, metered bool) *KeyLimits {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.keyLimits[apiKey]
	if l == nil && !r.reserve(rateLines, 0) {
		r.seriesDropped.Inc()
		apiKey, metered = Other, false
		l = r.keyLimits[apiKey]
		if l == nil {
			r.series.Add(rateLines) // this one always fits
		}
	}
	if l == nil {
		l = &KeyLimits{apiKey: apiKey}
		l.labels = r.labels.render("api_key_name", apiKey)
		r.keyLimits[apiKey] = l
	}
	if metered && !l.metered {
		if l.metered = r.reserve(quotaLines, 0); !l.metered {
			r.seriesDropped.Inc()
		}
	}
	l.fate = live
	return l
}

// BudgetFunc shows what read returns at every scrape: llm_proxy_budget_spent_usd
// and llm_proxy_budget_limit_usd. nil: there is no budget, whose limit is
// shown as infinite.
func (l *KeyLimits) BudgetFunc(read func() Budget) {
	if read == nil {
		l.budget.Store(nil)
		return
	}
	l.budget.Store(&read)
}

func (l *KeyLimits) lines() int64 {
	if l.metered {
		return rateLines + quotaLines
	}
	return rateLines
}

// writeKeyLimits prints the families of client keys' limits.
func (s *snapshot) writeKeyLimits(p *page) {
	sortByLabels(s.keyLimits)
	for _, l := range s.keyLimits {
		p.sample("llm_proxy_rate_limited_total", l.labels, "", "", int64(l.Requests.Get()))
	}
	var metered []*KeyLimits
	for _, l := range s.keyLimits {
		if l.metered {
			metered = append(metered, l)
		}
	}
	for _, l := range metered {
		p.sample("llm_proxy_quota_refused_total", l.labels, "limit", "tokens", int64(l.Tokens.Get()))
		p.sample("llm_proxy_quota_refused_total", l.labels, "limit", "budget", int64(l.Budget.Get()))
		p.sample("llm_proxy_quota_refused_total", l.labels, "limit", "concurrency", int64(l.Concurrency.Get()))
	}
	budgets := make([]Budget, len(metered))
	for i, l := range metered {
		limit := math.Inf(1)
		if read := l.budget.Load(); read != nil {
			budgets[i] = (*read)()
			limit = usd(budgets[i].Limit)
		}
		p.float("llm_proxy_budget_limit_usd", l.labels, limit)
	}
	for i, l := range metered {
		p.float("llm_proxy_budget_spent_usd", l.labels, usd(budgets[i].Spent))
	}
}

func usd(millionths int64) float64 { return float64(millionths) / 1e6 }
