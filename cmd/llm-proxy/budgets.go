package main

import (
	"context"
	"sync"
	"time"

	"llmproxy/budget"
	"llmproxy/usage"
)

// budgetKeeper stands between the ledger and its store, and tells the purses
// what is stored: what this process has settled, as it is stored, and what the
// rest of the fleet has spent, every few seconds.
type budgetKeeper struct {
	usage.Store
	purses *budget.Purses
	spent  func(ctx context.Context, since time.Time) (map[int64]int64, error)

	storing sync.Mutex // held while something is stored or summed up: no record may come between
}

const (
	// learnEvery is how old a purse's knowledge of other gateways may be: they
	// may overspend a budget together by what they spend in that time.
	learnEvery = 2 * time.Second

	// learnShare bounds the work for the database: summing up takes at most
	// one part of so many of the time.
	learnShare = 20
)

// Ship implements usage.Store.
func (k *budgetKeeper) Ship(ctx context.Context, b usage.Batch) (usage.Shipped, error) {
	k.storing.Lock()
	defer k.storing.Unlock()
	shipped, err := k.Store.Ship(ctx, b)
	if err != nil || !b.Own || shipped.Position != b.To {
		return shipped, err
	}
	for i := range b.Records {
		if r := &b.Records[i]; r.CostMicroUSD > 0 {
			k.purses.Find(r.APIKeyID).Stored(r.CostMicroUSD, r.At.UnixNano())
		}
	}
	return shipped, err
}

// run learns until ctx ends. While the database is away, what is known of the
// others stays as it was.
func (k *budgetKeeper) run(ctx context.Context) {
	for {
		began := time.Now()
		k.learn(ctx, began.UnixNano())
		pause := max(learnEvery, learnShare*time.Since(began))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// learn tells every purse what is stored of its present period.
func (k *budgetKeeper) learn(ctx context.Context, now int64) {
	periods := map[int64]map[int64]*budget.Purse{} // by when they began
	k.purses.Each(func(id int64, p *budget.Purse) {
		since := p.Since(now)
		if periods[since] == nil {
			periods[since] = map[int64]*budget.Purse{}
		}
		periods[since][id] = p
	})
	for since, purses := range periods {
		k.learnPeriod(ctx, since, now, purses)
	}
}

func (k *budgetKeeper) learnPeriod(ctx context.Context, since, now int64, purses map[int64]*budget.Purse) {
	k.storing.Lock()
	defer k.storing.Unlock()
	spent, err := k.spent(ctx, time.Unix(0, since))
	if err != nil {
		return // the ledger says that the database is away
	}
	for id, p := range purses {
		p.Learn(spent[id], now)
	}
}
