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
// The rate is no longer limited when there is neither delay nor more demand
// than it lets in.
type control struct {
	target time.Duration
	floor  float64 // per second

	rate  float64 // per second; 0 is not limited
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
	mostRate     = 1e8 // per second: more is as good as no limit
	enoughDemand = 0.9 // of the rate: with less, the limit limits nobody
)

// step takes what was seen since the last one: the delay, requests that came in
// per second, and those that wanted to.
func (c *control) step(delay time.Duration, admitted, wanted float64) {
	if delay > c.target {
		c.above++
		c.calm = 0
	} else {
		c.above = 0
	}
	if c.rate > 0 {
		c.adjust(delay, admitted, wanted)
	} else if c.above >= patience {
		c.rate = math.Min(math.Max(admitted, c.floor), mostRate)
	}
}

func (c *control) adjust(delay time.Duration, admitted, wanted float64) {
	rate := c.rate
	if delay > c.target {
		// What nobody used is no measure of what can be borne.
		rate = math.Min(rate, math.Max(admitted, c.floor))
	}
	aim := rate*c.factor(delay) + math.Sqrt(rate)
	part := climb
	if aim < rate {
		part = descent
	}
	c.rate = math.Min(math.Max(rate+part*(aim-rate), c.floor), mostRate)

	if delay > c.target || wanted > enoughDemand*rate {
		c.calm = 0
		return
	}
	if c.calm++; c.calm >= calmSteps {
		c.rate, c.calm = 0, 0
	}
}

// factor is target/delay within bounds.
func (c *control) factor(delay time.Duration) float64 {
	if delay <= 0 {
		return mostFactor
	}
	return math.Max(leastFactor, math.Min(float64(c.target)/float64(delay), mostFactor))
}
