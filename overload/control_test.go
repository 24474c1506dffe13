package overload

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const target = 100 * time.Millisecond

func TestWhenThePaceIsLimited(t *testing.T) {
	f := func(what string, limited bool, delays ...time.Duration) {
		t.Helper()
		c := control{target: target, floor: 64}
		for _, d := range delays {
			c.step(seen{delay: d, admitted: 1000, wanted: 1000, finished: 1000})
		}
		if got := c.rate > 0; got != limited {
			t.Errorf("%s: rate %.0f after %v, want limited %t", what, c.rate, delays, limited)
		}
	}
	const low, high = target, target + 1
	f("no delay", false, 0, 0, 0, 0, 0, 0, 0, 0)
	f("at the target", false, low, low, low, low, low, low, low, low)
	f("a burst", false, high, high, high, high, low, high, high, high, high, low)
	f("throughout the interval", true, high, high, high, high, high)
	f("whatever was before", true, low, high, low, high, high, high, high, high)
}

func TestTheFirstRateIsWhatCameIn(t *testing.T) {
	f := func(admitted, want float64) {
		t.Helper()
		c := control{target: target, floor: 64}
		for range patience {
			c.step(seen{delay: time.Second, admitted: admitted, wanted: admitted})
		}
		if c.rate != want {
			t.Errorf("%.0f per second came in: rate %.0f, want %.0f", admitted, c.rate, want)
		}
	}
	f(10_000, 10_000)
	f(64, 64)
	f(3, 64)
}

// machine is a gateway that can do so many requests per second, and spends a
// part of one on each refusal.
type machine struct {
	capacity float64
	refusal  float64 // the work of a refusal, in requests
	backlog  float64 // requests that wait for a CPU
	done     float64
	noise    func() float64 // what is measured is wrong by this factor; nil: it is not
}

// run serves for one Tick and returns the delay at its end.
func (m *machine) run(admitted, refused float64) time.Duration {
	dt := Tick.Seconds()
	able := math.Max(0, m.capacity*dt-refused*m.refusal*dt)
	m.backlog += admitted * dt
	served := math.Min(m.backlog, able)
	m.backlog -= served
	m.done += served
	d := m.backlog / m.capacity
	if m.noise != nil {
		d *= m.noise()
	}
	return time.Duration(d * float64(time.Second))
}

// drive offers so many requests per second for a while.
func (c *control) drive(m *machine, offered float64, ticks int) (worst time.Duration, refused float64) {
	for range ticks {
		in := offered
		if c.rate > 0 {
			in = math.Min(offered, c.rate)
		}
		before := m.done
		d := m.run(in, offered-in)
		c.step(seen{delay: d, admitted: in, wanted: offered, finished: (m.done - before) / Tick.Seconds()})
		worst = max(worst, d)
		refused += (offered - in) * Tick.Seconds()
	}
	return worst, refused
}

// Twice what the gateway can do: it does nearly all that it can, and what came
// in does not wait long. Afterwards everybody is let in again.
func TestOverloadAndAfter(t *testing.T) {
	f := func(capacity, offered, refusal, goodput float64) {
		t.Helper()
		c, m := control{target: target, floor: 64}, &machine{capacity: capacity, refusal: refusal}
		c.drive(m, offered, 300) // finds the rate, and works off what came in before
		m.done = 0
		worst, _ := c.drive(m, offered, 600)
		got := m.done / (600 * Tick.Seconds())
		able := capacity - refusal*(offered-got) // what is left beside the refusals
		t.Logf("%.0f/s of %.0f: %.0f/s done, %.0f%% of what can be done, delay at most %v, rate %.0f", offered, capacity, got, 100*got/able, worst, c.rate)
		if got < goodput*able {
			t.Errorf("%.0f/s of %.0f: goodput %.0f/s, want %.0f%% of %.0f", offered, capacity, got, 100*goodput, able)
		}
		if worst > 4*target {
			t.Errorf("%.0f/s of %.0f: delay %v", offered, capacity, worst)
		}
		c.drive(m, capacity/2, 20)
		if worst, refused := c.drive(m, capacity/2, 100); refused > 0 || worst > target || c.rate != 0 {
			t.Errorf("%.0f/s of %.0f: two seconds after, %.0f refused, delay %v, rate %.0f", offered, capacity, refused, worst, c.rate)
		}
	}
	f(10_000, 20_000, 0, 0.95)
	f(10_000, 20_000, 0.2, 0.95)
	f(10_000, 100_000, 0.02, 0.95)
	f(10_000, 12_000, 0.3, 0.95)
	f(500, 1000, 0, 0.95)
	f(50_000, 60_000, 0.1, 0.95)
}

// Far above capacity the refusals alone make the delay, and lowering the rate
// does not take it away: what was borne before is not given up for that. Later
// it is, because the gateway may have become slower.
func TestHopelessDelay(t *testing.T) {
	c := control{target: target, floor: 64}
	f := func(what string, ticks int, s seen, least, most float64) {
		t.Helper()
		for range ticks {
			c.step(s)
		}
		if c.rate < least || c.rate > most {
			t.Errorf("%s: rate %.0f, want %.0f to %.0f", what, c.rate, least, most)
		}
	}
	f("all is well", 100, seen{admitted: 10_000, wanted: 10_000, finished: 10_000}, 0, 0)
	hopeless := seen{delay: time.Second, admitted: 3000, wanted: 80_000, finished: 3000}
	f("ten seconds of it", 100, hopeless, 2000, 3100)
	hopeless.admitted, hopeless.finished = 100, 100
	f("two minutes in which nearly nothing is finished", 1200, hopeless, 64, 400)
}

// A measurement that is wrong by a factor of up to three costs little.
func TestOverloadMeasuredBadly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	m := &machine{capacity: 10_000, noise: func() float64 { return math.Exp(random.Float64()*2.2 - 1.1) }}
	c := control{target: target, floor: 64}
	worst, _ := c.drive(m, 20_000, 1200)
	t.Logf("%.0f/s done, delay measured %v at most", m.done/120, worst)
	if m.done < 0.9*120*m.capacity {
		t.Errorf("%.0f/s done of 10000", m.done/120)
	}
}

// A gateway that has less to do than it can never refuses anybody.
func TestNoOverload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, m := control{target: target, floor: 64}, &machine{capacity: 10_000}
		for _, offered := range rapid.SliceOfN(rapid.Float64Range(0, 9999), 1, 300).Draw(t, "offered") {
			if _, refused := c.drive(m, offered, 1); refused > 0 || c.rate != 0 {
				t.Fatalf("%.0f refused at %.0f/s", refused, offered)
			}
		}
	})
}

// Whatever is measured, the rate is finite and not below the floor, and it is
// lifted soon after the trouble is over.
func TestRateHasBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := control{target: target, floor: 64}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "delay"))
			in := rapid.Float64Range(0, 1e7).Draw(t, "in")
			c.step(seen{d, in, in * rapid.Float64Range(1, 1e3).Draw(t, "wanted"), rapid.Float64Range(0, 1e7).Draw(t, "finished")})
			if c.rate != 0 && c.rate < c.floor || math.IsNaN(c.rate) || c.rate > mostRate {
				t.Fatalf("rate %v", c.rate)
			}
		}
		for range calmSteps {
			c.step(seen{admitted: 10, wanted: 10, finished: 10})
		}
		if c.rate != 0 {
			t.Fatalf("rate %v after %d calm steps", c.rate, calmSteps)
		}
	})
}
