package overload

import (
	"math"
	"time"
)

// control finds the rate at which requests may come in, from the delay of the
// gateway's own queue. It is pure: one step for each Tick.
//
// When to begin is CoDel's rule (Nichols and Jacobson, Controlling Queue Delay,
// ACM Queue 2012): the least delay of an interval, here patience steps, is above
// the target; anything shorter is a burst, which a queue is for. It begins with
// the rate that came in last, and from then on the rate follows the gradient of Netflix' concurrency-limits, which Envoy's
// adaptive concurrency uses too,
//
//	rate × target/delay + √rate
//
// with the same bounds, and smoothed. They divide the least latency ever seen
// by the present one, and must find out the former again and again, because it
// is the provider's; here the queue is the gateway's own, and what may be
// waited in it is declared.
//
// Work that was let in comes back later, when its provider answers, so the
// delay may stay for a while after the rate has been cut. Two rules keep that
// from swinging. The rate does not fall below a part of the most that has lately
// been finished, because that much can be borne: far above capacity it is the
// refusals that make the delay, and lowering the rate does not take it away.
// And a rate that is not used is not raised (the rule of RFC 7661), because
// nothing is learnt of it.
//
// The rate is no longer limited when there is neither delay nor more demand
// than it lets in.
type control struct {
	target time.Duration
	floor  float64 // per second

	rate  float64 // per second; 0 is not limited
	done  float64 // per second: finished, over about a second; forgotten in about half a minute
	above int     // steps in a row with a delay above target
	calm  int     // steps in a row in which nothing needed the limit
}

const (
	patience  = 5  // steps of delay before anybody is turned away
	calmSteps = 10 // steps of calm before everybody is let in

	climb        = 0.4 // of the way to a higher rate is gone in a step
	descent      = 0.5 // and to a lower one: what came in too much must be worked off
	leastFactor  = 0.5 // of target/delay
	mostFactor   = 2.0
	mostRate     = 1e8   // per second: more is as good as no limit
	enoughDemand = 0.9   // of the rate: with less, the limit limits nobody
	unused       = 0.5   // of the rate: with less, it is not raised
	recent       = 0.1   // of what was finished in a step goes into done when it is more
	forgotten    = 0.003 // and of it when it is less
	bearable     = 0.3   // of done
)

// seen is what happened in a step.
type seen struct {
	delay time.Duration
	// Requests per second: those that came in, that wanted to, that ended.
	admitted, wanted, finished float64
}

// step takes what was seen since the last one.
func (c *control) step(s seen) {
	c.remember(s.finished)
	if s.delay > c.target {
		c.above++
	} else {
		c.above = 0
	}
	switch {
	case c.rate == 0 && c.above >= patience:
		c.set(s.admitted)
	case c.rate == 0:
	case s.delay > c.target:
		c.calm = 0
		// What nobody used is no measure of what can be borne.
		c.lower(s.delay, math.Min(c.rate, math.Max(s.admitted, c.least())))
	default:
		c.raise(s)
	}
}

// remember keeps what is finished per second.
func (c *control) remember(finished float64) {
	part := recent
	if finished < c.done {
		part = forgotten
	}
	c.done += part * (finished - c.done)
}

// lower goes a part of the way that the gradient shows.
func (c *control) lower(delay time.Duration, rate float64) {
	c.set(rate + descent*math.Min(c.aim(delay, rate)-rate, 0))
}

// raise does as well, or ends the limit when it has not been needed for a while.
func (c *control) raise(s seen) {
	if c.calm++; s.wanted > enoughDemand*c.rate {
		c.calm = 0
	}
	switch {
	case c.calm >= calmSteps:
		c.rate, c.calm = 0, 0
	case s.wanted > unused*c.rate:
		c.set(c.rate + climb*(c.aim(s.delay, c.rate)-c.rate))
	}
}

func (c *control) aim(delay time.Duration, rate float64) float64 {
	return rate*c.factor(delay) + math.Sqrt(rate)
}

func (c *control) set(rate float64) {
	c.rate = math.Min(math.Max(rate, c.least()), mostRate)
}

func (c *control) least() float64 { return math.Max(c.floor, bearable*c.done) }

// factor is target/delay within bounds.
func (c *control) factor(delay time.Duration) float64 {
	if delay <= 0 {
		return mostFactor
	}
	return math.Max(leastFactor, math.Min(float64(c.target)/float64(delay), mostFactor))
}
