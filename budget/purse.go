// Package budget holds a client key to what it may spend in a day, a month or
// at all.
//
// What a request will cost is not known before it ends, so it reserves what it
// may cost, and settles for what it did. Both are one atomic word. What other
// gateways of the fleet have spent, and what was spent before this process
// began, is told to a Purse now and then by whoever reads it from the ledger.
//
// Amounts are whole millionths of a US dollar; times are arguments.
package budget

import (
	"math"
	"sync/atomic"
	"time"
)

// Never is when a period ends that does not.
const Never = math.MaxInt64

// Period says when the period that a moment lies in began and when it ends, in
// unix nanoseconds.
type Period func(now int64) (from, until int64)

// Purse is what one client key may spend per period. Its methods may be called
// from any goroutine; a nil *Purse pays everything.
type Purse struct {
	terms   atomic.Pointer[terms]
	current atomic.Pointer[spending]
}

// terms are what the operator has declared.
type terms struct {
	limit  int64 // millionths of a US dollar; 0 refuses everything
	name   string
	period Period
}

// spending is one period's. Those of a period that is over are still settled,
// where nobody looks any more.
type spending struct {
	from, until int64

	committed atomic.Int64 // settled here, and reserved
	stored    atomic.Int64 // of what was settled here, what the ledger holds
	elsewhere atomic.Int64 // what the ledger holds besides
}

// Reservation is what a request may cost. The zero value is of no Purse.
type Reservation struct {
	of   *spending
	cost int64
}

// State is what a Purse knows of its present period.
type State struct {
	Limit, Spent int64 // Spent includes what is reserved
	Until        int64 // unix nanoseconds
}

// setTerms changes what was declared. Another period begins with nothing
// spent until the ledger is asked.
func (p *Purse) setTerms(t *terms) {
	if old := p.terms.Swap(t); old != nil && old.name != t.name {
		p.current.Store(nil)
	}
}

// Reserve asks to let in a request that arrived at now, in unix nanoseconds,
// and may cost so much. What it returns must be settled once if ok.
func (p *Purse) Reserve(cost, now int64) (r Reservation, ok bool) {
	if p == nil {
		return Reservation{}, true
	}
	limit, s := p.terms.Load().limit, p.at(now)
	cost = max(cost, 0)
	for {
		committed := s.committed.Load()
		spent := committed + s.elsewhere.Load()
		if spent >= limit || cost > limit-spent {
			return Reservation{}, false
		}
		if s.committed.CompareAndSwap(committed, committed+cost) {
			return Reservation{s, cost}, true
		}
	}
}

// Settle ends the request: it did cost so much.
func (r Reservation) Settle(cost int64) {
	if r.of != nil {
		r.of.committed.Add(max(cost, 0) - r.cost)
	}
}

// Stored notes that the ledger now holds an amount that was settled here, of a
// request that arrived at that time.
func (p *Purse) Stored(cost, arrived int64) {
	if p == nil {
		return
	}
	if s := p.current.Load(); s != nil && arrived >= s.from && arrived < s.until {
		s.stored.Add(cost)
	}
}

// Learn takes over how much the ledger holds of the period that now lies in.
// No call of Stored may come between the reading of total and this.
func (p *Purse) Learn(total, now int64) {
	if p != nil {
		s := p.at(now)
		s.elsewhere.Store(total - s.stored.Load())
	}
}

// Since returns when the present period began: what Learn wants the total of.
func (p *Purse) Since(now int64) int64 { return p.at(now).from }

// State returns what is known at now.
func (p *Purse) State(now int64) State {
	s := p.at(now)
	return State{Limit: p.terms.Load().limit, Spent: s.committed.Load() + s.elsewhere.Load(), Until: s.until}
}

// at returns the spending of the period that now lies in. A clock that is set
// back does not bring an older one back.
func (p *Purse) at(now int64) *spending {
	for {
		s := p.current.Load()
		if s != nil && now < s.until {
			return s
		}
		next := new(spending)
		next.from, next.until = p.terms.Load().period(now)
		if p.current.CompareAndSwap(s, next) {
			return next
		}
	}
}

// Every is the Period that begins anew when since and until say so; the zero
// time is never.
func Every(since, until func(time.Time) time.Time) Period {
	return func(now int64) (int64, int64) {
		at := time.Unix(0, now)
		from, end := int64(0), int64(Never)
		if t := since(at); !t.IsZero() {
			from = t.UnixNano()
		}
		if t := until(at); !t.IsZero() {
			end = t.UnixNano()
		}
		return from, end
	}
}
