package budget

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// day is a period of 100, for round figures.
func day(now int64) (from, until int64) { return now / 100 * 100, now/100*100 + 100 }

func purse(limit int64) *Purse { return NewPurses().Get(1, limit, "day", day) }

func TestReserveAndSettle(t *testing.T) {
	p := purse(1000)
	f := func(now, cost int64, want bool) Reservation {
		t.Helper()
		r, ok := p.Reserve(cost, now)
		if ok != want {
			t.Errorf("%d at %d: admitted is %t, want %t; %+v", cost, now, ok, want, p.State(now))
		}
		return r
	}
	a := f(10, 600, true)
	f(11, 401, false)
	b := f(12, 400, true)
	f(13, 1, false)
	f(13, 0, false) // nothing is left: what costs nothing by its estimate would cost something
	a.Settle(100)
	f(14, 500, true).Settle(500)
	b.Settle(900) // more than it reserved
	if got := p.State(15); got != (State{Limit: 1000, Spent: 1500, Until: 100}) {
		t.Errorf("got %+v", got)
	}
	f(99, 0, false)
	late := f(100, 1000, true) // the next day
	late.Settle(1)
	if got := p.State(150); got.Spent != 1 || got.Until != 200 {
		t.Errorf("the next day: %+v", got)
	}
}

// A request that arrived yesterday is settled there.
func TestSettledInItsOwnPeriod(t *testing.T) {
	p := purse(1000)
	r, _ := p.Reserve(500, 99)
	if got := p.State(100).Spent; got != 0 {
		t.Errorf("%d is spent as the day begins", got)
	}
	r.Settle(700)
	if got := p.State(101).Spent; got != 0 {
		t.Errorf("%d is spent that was yesterday's", got)
	}
}

// The ledger's total holds what was settled here and stored, which must not
// count twice.
func TestWhatTheLedgerHolds(t *testing.T) {
	p := purse(1000)
	a, _ := p.Reserve(0, 10)
	a.Settle(300)
	p.Stored(100, 10) // of the 300
	p.Stored(55, 99_999)
	p.Learn(500, 20) // 400 by others
	if got := p.State(20).Spent; got != 700 {
		t.Errorf("spent %d, want 300 here and 400 elsewhere", got)
	}
	p.Stored(200, 10)
	if got := p.State(21).Spent; got != 700 {
		t.Errorf("spent %d after the rest was stored, want 700", got)
	}
	p.Learn(700, 22)
	if got := p.State(22).Spent; got != 700 {
		t.Errorf("spent %d after the ledger was read again, want 700", got)
	}
	if _, ok := p.Reserve(301, 23); ok {
		t.Error("more than is left is let in")
	}
}

func TestNoPurse(t *testing.T) {
	var none *Purse
	r, ok := none.Reserve(math.MaxInt64, 0)
	if !ok {
		t.Error("nil refuses")
	}
	r.Settle(5)
	none.Stored(1, 1)
	none.Learn(1, 1)
	if _, ok := purse(0).Reserve(0, 10); ok {
		t.Error("a budget of 0 admits")
	}
}

// Terms can change under way; what is spent stays, in another period nothing.
func TestTermsChange(t *testing.T) {
	m := NewPurses()
	p := m.Get(1, 1000, "day", day)
	if r, ok := p.Reserve(900, 10); ok {
		r.Settle(900)
	}
	if q := m.Get(1, 800, "day", day); q != p {
		t.Fatal("another purse")
	}
	if _, ok := p.Reserve(1, 11); ok {
		t.Error("a lower limit admits more")
	}
	m.Get(1, 800, "week", func(int64) (int64, int64) { return 0, 700 })
	if got := p.State(12); got != (State{Limit: 800, Until: 700}) {
		t.Errorf("another period: %+v", got)
	}
	m.Keep(func(int64) bool { return false })
	if m.Find(1) != nil {
		t.Error("kept")
	}
}

func TestEvery(t *testing.T) {
	never := func(time.Time) time.Time { return time.Time{} }
	hour := func(at time.Time) time.Time { return at.Truncate(time.Hour) }
	next := func(at time.Time) time.Time { return hour(at).Add(time.Hour) }
	at := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)
	if from, until := Every(hour, next)(at.UnixNano()); from != hour(at).UnixNano() || until != next(at).UnixNano() {
		t.Errorf("got %d to %d", from, until)
	}
	if from, until := Every(never, never)(at.UnixNano()); from != 0 || until != math.MaxInt64 {
		t.Errorf("got %d to %d", from, until)
	}
}

// Nobody gets in beyond the limit: what is settled never exceeds it as long as
// nobody costs more than he reserved; and what did not happen is given back.
func TestPurseIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 10_000).Draw(t, "limit")
		p := purse(limit)
		var open []Reservation
		var settled, reserved int64
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "settle") {
				r := open[0]
				open = open[1:]
				cost := rapid.Int64Range(0, r.cost).Draw(t, "cost")
				r.Settle(cost)
				settled, reserved = settled+cost, reserved-r.cost
				continue
			}
			cost := rapid.Int64Range(0, 2*limit).Draw(t, "estimate")
			left := limit - settled - reserved
			r, ok := p.Reserve(cost, 10)
			if want := left > 0 && cost <= left; ok != want {
				t.Fatalf("%d of %d left: admitted is %t", cost, left, ok)
			}
			if ok {
				open, reserved = append(open, r), reserved+cost
			}
			if settled > limit {
				t.Fatalf("%d of %d spent", settled, limit)
			}
		}
	})
}

// A crowd cannot spend more than there is, and spends it to the last.
func TestCrowd(t *testing.T) {
	const limit, each = 10_000, 7
	p := purse(limit)
	var spent atomic.Int64
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for range 2000 {
				if r, ok := p.Reserve(each, 10); ok {
					r.Settle(each)
					spent.Add(each)
				}
			}
		})
	}
	crowd.Wait()
	if got := spent.Load(); got > limit || got < limit-each {
		t.Errorf("spent %d of %d", got, limit)
	}
}

func TestReserveAllocatesNothing(t *testing.T) {
	p := purse(1 << 40)
	if n := testing.AllocsPerRun(100, func() {
		r, _ := p.Reserve(10, 10)
		r.Settle(5)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
