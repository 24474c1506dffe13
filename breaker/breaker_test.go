package breaker

import (
	"testing"
	"time"
)

const (
	ms = int64(time.Millisecond)
	s  = int64(time.Second)

	// start is a beginning that is in the midst of a slot of the window.
	start = 1_700_000_000_500 * ms
)

// target is a Breaker and the clock by which it is asked.
type target struct {
	t   *testing.T
	b   *Breaker
	now int64
}

func newTarget(t *testing.T, settings Settings) *target {
	return &target{t: t, b: New(settings, 1), now: start}
}

// at sets the clock, in milliseconds after the start.
func (x *target) at(after int64) *target {
	x.now = start + after*ms
	return x
}

// enter expects to be admitted, as a probe or not.
func (x *target) enter(probe bool) Pass {
	x.t.Helper()
	if !x.b.Ready(x.now) {
		x.t.Errorf("at %d ms: not ready", x.since())
	}
	p, ok := x.b.Enter(x.now)
	if !ok || p.Probe() != probe {
		x.t.Errorf("at %d ms: Enter = %v, probe %v; want true, probe %v", x.since(), ok, p.Probe(), probe)
	}
	return p
}

// refuse expects not to be admitted, and returns the pass all the same.
func (x *target) refuse() Pass {
	x.t.Helper()
	if x.b.Ready(x.now) {
		x.t.Errorf("at %d ms: ready", x.since())
	}
	p, ok := x.b.Enter(x.now)
	if ok || p.Probe() {
		x.t.Errorf("at %d ms: Enter = %v, probe %v; want neither", x.since(), ok, p.Probe())
	}
	return p
}

func (x *target) is(want State) *target {
	x.t.Helper()
	if got := x.b.State(x.now); got != want {
		x.t.Errorf("at %d ms: %v, want %v", x.since(), got, want)
	}
	return x
}

// fail has n requests fail one after the other.
func (x *target) fail(n int) *target {
	for range n {
		p, _ := x.b.Enter(x.now)
		x.b.Failed(p, x.now)
	}
	return x
}

func (x *target) succeed(n int) *target {
	for range n {
		p, _ := x.b.Enter(x.now)
		x.b.Succeeded(p, x.now)
	}
	return x
}

func (x *target) since() int64 { return (x.now - start) / ms }

// The first rests of the Breaker with seed 1 in milliseconds: each up to a
// tenth more than 1, 2, 4, 8, 16, 30 s.
var rests = []int64{1004, 2183, 4351, 8739, 17_161, 30_000, 30_000}

func TestFailuresInARowOpen(t *testing.T) {
	x := newTarget(t, Settings{})
	x.fail(4).is(Closed).enter(false)
	x.succeed(1).fail(4).is(Closed)
	x.fail(1).is(Open).refuse()
	if x.b.Ejections() != 1 || x.b.Since() != x.now {
		t.Errorf("%d ejections, since %d; want 1, %d", x.b.Ejections(), x.b.Since(), x.now)
	}
}

func TestProbeComesBack(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5)
	x.at(rests[0] - 1).is(Open).refuse()
	probe := x.at(rests[0]).is(HalfOpen).enter(true)
	x.is(HalfOpen).refuse()

	x.at(rests[0]+100).b.Succeeded(probe, x.now)
	x.is(Closed).enter(false)
	if x.b.Since() != 0 {
		t.Errorf("since %d, want 0", x.b.Since())
	}
	// It begins anew: with a row of 5, and with the first rest.
	x.fail(4).is(Closed)
	from := x.fail(1).since()
	x.at(from + 999).refuse()
	x.at(from + 1100).enter(true)
	if x.b.Ejections() != 2 {
		t.Errorf("%d ejections, want 2", x.b.Ejections())
	}
}

func TestRestsDouble(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5)
	for _, rest := range rests {
		from := x.since()
		x.at(from + rest - 1).is(Open).refuse()
		x.at(from + rest).is(HalfOpen).fail(1).is(Open)
	}
	if x.b.Ejections() != 1 || x.b.Since() != start {
		t.Errorf("%d ejections, since %d; want one absence since %d", x.b.Ejections(), x.b.Since(), start)
	}
	x.at(x.since() + 30_000).succeed(1).is(Closed)
}

// What docs/routing.md promises: a target that only fails gets no more than 10
// requests in its first minute, whatever the seed, however many there are.
func TestTenRequestsInTheFirstMinute(t *testing.T) {
	for seed := range uint64(1000) {
		b, asked := New(Settings{}, seed), 0
		for now := start; now < start+60*s; now += 10 * ms {
			if p, ok := b.Enter(now); ok {
				b.Failed(p, now)
				asked++
			}
		}
		if asked > 10 {
			t.Fatalf("seed %d: asked %d times", seed, asked)
		}
	}
}

func TestRatioOpens(t *testing.T) {
	f := func(settings Settings, rounds int, opened bool) {
		t.Helper()
		settings.Consecutive = 1000
		x := newTarget(t, settings)
		for i := range rounds {
			x.at(int64(i) * 100).succeed(1).fail(1)
		}
		if got := x.b.Ejections() > 0; got != opened {
			t.Errorf("%+v: after %d rounds opened is %t, want %t", settings, rounds, got, opened)
		}
	}
	f(Settings{}, 9, false) // 18 requests are too few to tell
	f(Settings{}, 10, true) // half of 20
	f(Settings{RatioPercent: 51}, 45, false)
	f(Settings{MinRequests: 180}, 90, true)   // 9 seconds are within the window
	f(Settings{MinRequests: 202}, 300, false) // more than 10 never are
	f(Settings{MinRequests: 18, Window: time.Second}, 60, true)
	f(Settings{MinRequests: 22, Window: time.Second}, 60, false)
}

// A failure that comes when the window has emptied is not weighed with the old.
func TestWindowSlides(t *testing.T) {
	x := newTarget(t, Settings{Consecutive: 1000}).fail(19)
	x.at(9499).is(Closed) // the tenth second of the window: its last
	x.at(9500).fail(1).is(Closed)
	x.at(9501).fail(18).is(Closed)
	x.fail(1).is(Open)
}

// What was counted before an opening does not open again.
func TestWindowBeginsAnew(t *testing.T) {
	x := newTarget(t, Settings{Consecutive: 20}).fail(20).is(Open)
	x.at(1100).succeed(1).is(Closed)
	x.fail(18).is(Closed) // with the 20 of before it would be over the ratio
}

func TestReportsOfBeforeAreNoNews(t *testing.T) {
	x := newTarget(t, Settings{})
	old := x.enter(false)
	x.fail(5)
	x.b.Failed(old, x.now)
	x.b.Succeeded(old, x.now)
	x.b.Refused(old, x.now)
	x.b.Abandoned(old, x.now)
	x.is(Open).at(1100).succeed(1).is(Closed)
	for range 10 {
		x.b.Failed(old, x.now)
		x.b.Refused(old, x.now)
	}
	x.is(Closed).fail(4).is(Closed)
}

// Whoever asks all the same, because nobody else is left, may bring good news
// but no bad ones.
func TestAskedAllTheSame(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5)
	x.at(100).b.Failed(x.refuse(), x.now)
	x.at(rests[0]).is(HalfOpen)

	probe := x.enter(true)
	x.b.Failed(x.refuse(), x.now)
	x.b.Abandoned(x.refuse(), x.now)
	x.is(HalfOpen).refuse() // the probe's place is the probe's
	x.b.Succeeded(x.refuse(), x.now)
	x.is(Closed)
	x.b.Failed(probe, x.now)
	x.is(Closed).fail(4).is(Closed)
}

func TestProbeThatIsAbandoned(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5).at(2000)
	probe := x.enter(true)
	x.at(2001).b.Abandoned(probe, x.now)
	second := x.is(HalfOpen).enter(true)
	x.b.Abandoned(probe, x.now) // once more: it is not its place any longer
	x.refuse()
	// The doubling goes on where it was.
	x.b.Failed(second, x.now)
	x.at(2001 + 1999).refuse()
	x.at(2001 + 2200).enter(true)
}

// A probe that never comes back must not shut the target for ever.
func TestProbeThatIsStuck(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5).at(2000)
	stuck := x.enter(true)
	x.at(2000 + 29_999).is(HalfOpen).refuse()
	next := x.at(2000 + 30_000).enter(true)
	x.refuse()

	x.b.Failed(stuck, x.now) // the next one decides
	x.b.Abandoned(stuck, x.now)
	x.is(HalfOpen).refuse()
	x.b.Succeeded(stuck, x.now) // but good news are good news
	x.is(Closed)
	x.b.Failed(next, x.now)
	x.is(Closed).enter(false)

	x = newTarget(t, Settings{Probe: time.Second}).fail(5).at(2000)
	x.enter(true)
	x.at(2999).refuse()
	x.at(3000).enter(true)
}

func TestRefused(t *testing.T) {
	x := newTarget(t, Settings{})
	refuse := func(n int) {
		for range n {
			p, _ := x.b.Enter(x.now)
			x.b.Refused(p, x.now)
		}
	}
	refuse(2)
	x.fail(1).is(Closed).succeed(1) // one client's content, perhaps
	refuse(2)
	x.is(Closed).fail(4).is(Closed) // each row is its own
	refuse(1)
	x.is(Auth).refuse()
	for _, rest := range []int64{60, 120, 240, 480, 600, 600} {
		from := x.since()
		x.at(from + rest*1000 - 1).is(Auth).refuse()
		x.at(from + min(rest*1100, 600_000)).is(Auth)
		refuse(1)
		x.is(Auth).refuse()
	}
	// The key was changed.
	x.at(x.since() + 600_000).succeed(1).is(Closed)
	if x.b.Ejections() != 1 {
		t.Errorf("%d ejections, want 1", x.b.Ejections())
	}
}

// A probe that finds another fault than was known begins with its first rest.
func TestOneFaultAfterAnother(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5).at(2000).fail(1).at(5000)
	x.b.Refused(x.enter(true), x.now)
	x.is(Auth).at(5000 + 59_999).refuse()
	x.at(5000+66_000).is(Auth).b.Failed(x.enter(true), x.now)
	x.is(Open).at(71_000 + 999).refuse()
	x.at(71_000 + 1100).succeed(1).is(Closed)
}

func TestLimited(t *testing.T) {
	x := newTarget(t, Settings{})
	limit := func(told time.Duration) {
		p, _ := x.b.Enter(x.now)
		x.b.Limited(p, x.now, x.now+int64(told))
	}
	limit(2 * time.Second)
	x.is(Resting).at(1999).refuse()
	limit(500 * time.Millisecond) // it asked for more before: to 2499 it is more
	x.at(2498).is(Resting).refuse()
	x.at(2499).is(Closed).enter(false)
	x.enter(false) // everyone, not one by one

	limit(time.Hour)
	x.succeed(1).is(Resting) // a success does not shorten it
	x.at(2499 + 59_999).is(Resting).refuse()
	x.at(2499 + 60_000).is(Closed).fail(4).is(Closed)
	limit(0)
	x.is(Resting).at(x.since() + 1100).is(Closed).fail(1).is(Open) // no failure, and no success
	if x.b.Ejections() != 1 {
		t.Errorf("%d ejections, want 1: to be limited is none", x.b.Ejections())
	}
}

func TestLimitedWithoutSaying(t *testing.T) {
	x := newTarget(t, Settings{})
	for _, rest := range []int64{1000, 2000, 4000, 8000, 16_000, 30_000, 30_000} {
		first, second := x.enter(false), x.enter(false)
		x.b.Limited(first, x.now, 0)
		x.b.Limited(second, x.now, 0) // of before the rest: it does not double
		from := x.since()
		x.at(from + rest - 1).is(Resting)
		x.b.Limited(x.refuse(), x.now, 0) // asked all the same: neither
		x.at(from + min(rest*11/10, 30_000)).is(Closed)
		x.b.Limited(second, x.now, 0)
		x.is(Closed)
	}
	// Only who asked after the last rest can tell that it is over.
	old := x.enter(false)
	x.b.Limited(x.enter(false), x.now, 0)
	x.at(x.since()+30_000).b.Succeeded(old, x.now)
	x.b.Limited(x.enter(false), x.now, 0)
	x.at(x.since() + 29_999).refuse()
	x.at(x.since() + 1).succeed(1)
	x.b.Limited(x.enter(false), x.now, 0)
	from := x.since()
	x.at(from + 999).refuse()
	x.at(from + 1100).enter(false)
}

// A probe that is limited has found out nothing: the next one is the probe.
func TestLimitedProbe(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5).at(2000)
	x.b.Limited(x.enter(true), x.now, x.now+5*s)
	x.is(HalfOpen).at(6999).refuse()
	x.at(7000).enter(true)
	x.refuse()
}

func TestStateStrings(t *testing.T) {
	for state, want := range map[State]string{Closed: "closed", Open: "open", HalfOpen: "half_open", Auth: "auth", Resting: "resting"} {
		if state.String() != want {
			t.Errorf("%d is %q, want %q", state, state, want)
		}
	}
}
