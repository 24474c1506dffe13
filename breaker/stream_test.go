package breaker

import (
	"sync"
	"testing"
)

// begin has a request begin an answer.
func (x *target) begin() Pass {
	p, _ := x.b.Enter(x.now)
	return x.b.Began(p, x.now)
}

// cut has n answers begin and break off.
func (x *target) cut(n int) *target {
	for range n {
		x.b.Failed(x.begin(), x.now)
	}
	return x
}

// A target that begins every answer and ends none is left out like one that
// begins none: the beginnings do not hide it.
func TestBrokenAnswersInARowOpen(t *testing.T) {
	x := newTarget(t, Settings{}).cut(4).is(Closed)
	x.succeed(1).cut(4).is(Closed)
	x.begin() // goes on
	x.cut(1).is(Open).refuse()
	if x.b.Ejections() != 1 {
		t.Errorf("%d ejections, want 1", x.b.Ejections())
	}
}

// An answer that begins ends the row of requests that did not get so far, and of
// refusals, but says nothing of answers that broke off.
func TestABeginningEndsARowOfFailures(t *testing.T) {
	x := newTarget(t, Settings{}).fail(4)
	x.begin()
	x.fail(4).is(Closed).fail(1).is(Open)

	x = newTarget(t, Settings{MinRequests: 1000})
	for range 4 {
		x.fail(4).cut(1).is(Closed)
	}
	x.cut(1).is(Open)

	x = newTarget(t, Settings{})
	for range 2 {
		x.b.Refused(x.enter(false), x.now)
	}
	x.begin()
	x.b.Refused(x.enter(false), x.now)
	x.is(Closed)
}

// After a rest the first event of an answer lets everybody in, however long the
// answer goes on; it does not have to end for that.
func TestALongAnswerHoldsNobodyUp(t *testing.T) {
	x := newTarget(t, Settings{}).fail(5).at(2000)
	long := x.b.Began(x.enter(true), x.now)
	x.is(Closed).enter(false)
	x.enter(false)
	if x.b.Since() != 0 {
		t.Errorf("left out since %d", x.b.Since())
	}
	x.at(600_000).b.Succeeded(long, x.now)
	x.is(Closed).cut(4).fail(4).is(Closed) // it is trusted again: every row is new
}

// A target that is let in again because it began an answer, and breaks that off,
// is left out for the next longer rest at once: in a minute it gets no more
// requests one after the other than one that fails each.
func TestBrokenAnswerAfterARestIsTheNextRest(t *testing.T) {
	x := newTarget(t, Settings{}).cut(5)
	for _, rest := range rests {
		from := x.since()
		x.at(from + rest*9/10 - 200).is(Open).refuse()
		x.at(from + rest*11/10 + 1).cut(1).is(Open)
	}
	for seed := range uint64(200) {
		b, asked := New(Settings{}, seed), 0
		for now := start; now < start+60*s; now += 10 * ms {
			if p, ok := b.Enter(now); ok {
				b.Failed(b.Began(p, now), now+5*ms)
				asked++
			}
		}
		if asked > 10 {
			t.Fatalf("seed %d: asked %d times", seed, asked)
		}
	}
}

// What follows on the trial: a whole answer ends it, requests that fail before
// they begin need a row as ever, and the doubling goes on until something ends well.
func TestTrial(t *testing.T) {
	trial := func() *target {
		x := newTarget(t, Settings{}).fail(5).at(2000)
		x.begin()
		return x
	}
	trial().succeed(1).cut(4).is(Closed)
	trial().fail(4).is(Closed)

	x := trial().fail(5).is(Open)
	x.at(2000 + 1999).refuse()
	x.at(2000 + 2200).enter(true)

	// An answer of before the rest, or of a client that left, is no news.
	x = newTarget(t, Settings{})
	old := x.begin()
	x.fail(5).at(2000)
	x.b.Abandoned(x.begin(), x.now)
	x.b.Failed(old, x.now)
	x.is(Closed)

	// Whose key was refused and who then answers has the right one now.
	x = newTarget(t, Settings{})
	for range 3 {
		x.b.Refused(x.enter(false), x.now)
	}
	x.is(Auth).at(70_000)
	x.begin()
	x.is(Closed).cut(4).is(Closed)
}

// A stream is one request of the window's, whatever becomes of it.
func TestStreamsAreCountedOnce(t *testing.T) {
	f := func(good, cut int, opened bool) {
		t.Helper()
		x := newTarget(t, Settings{Consecutive: 1000})
		for range good {
			x.b.Succeeded(x.begin(), x.now)
		}
		if x.cut(cut); (x.b.State(x.now) == Open) != opened {
			t.Errorf("%d of %d streams cut: %v", cut, good+cut, x.b.State(x.now))
		}
	}
	f(0, 19, false)
	f(0, 20, true)
	f(11, 10, false)
	f(20, 19, false)
	f(20, 20, true)

	// Those that began before the window and break off in it are requests of it.
	x := newTarget(t, Settings{Consecutive: 1000})
	var under []Pass
	for range 20 {
		under = append(under, x.begin())
	}
	x.at(60_000)
	for _, p := range under {
		x.b.Failed(p, x.now)
	}
	x.is(Open)
}

// Many streams that begin, end well and break off at the same time leave the
// breaker in a state that one of them could have left it in.
func TestStreamsOfACrowd(t *testing.T) {
	b := New(Settings{Consecutive: 8, MinRequests: 1 << 40}, 1)
	var crowd sync.WaitGroup
	for g := range 8 {
		crowd.Go(func() {
			for i := range 2000 {
				p, _ := b.Enter(start)
				p = b.Began(p, start)
				if (i+g)%8 == 0 {
					b.Failed(p, start)
				} else {
					b.Succeeded(p, start)
				}
			}
		})
	}
	crowd.Wait()
	x := &target{t: t, b: b, now: start + 120*s}
	x.succeed(1).is(Closed).cut(7).is(Closed).cut(1).is(Open)
}
