package server

import (
	"llmproxy/breaker"
	"llmproxy/route"
)

// A request owes the breaker of each target that it goes to one report of how
// that went. Whoever draws a target calls owe; ask, judge, resume and settle
// report. A second report says nothing, and what nobody reported, because the
// client left or a panic came between, settle gives back: others may be waiting
// for what a request finds out about a target that has had its rest.

// owe takes the pass with which the target lets the request in.
func (x *exchange) owe(t *route.Target, pass breaker.Pass) { x.owes, x.pass = t, pass }

// pay returns the target that waits for a report, nil if none does any more.
func (x *exchange) pay() *route.Target {
	t := x.owes
	x.owes = nil
	return t
}

// succeeded reports an answer that is whole, or ended well.
func (x *exchange) succeeded() {
	if t := x.pay(); t != nil {
		t.Succeeded(x.pass, now())
	}
}

// began reports that the answer has begun; how it ends is still owed.
func (x *exchange) began() {
	if x.owes != nil {
		x.pass = x.owes.Began(x.pass, now())
	}
}

// failed reports a failure of the provider's, unless it has been reported. It
// says which.
func (x *exchange) failed() bool {
	t := x.pay()
	if t != nil {
		t.Failed(x.pass, now())
	}
	return t != nil
}

// refused reports that the provider does not take the gateway's key.
func (x *exchange) refused() {
	if t := x.pay(); t != nil {
		t.Refused(x.pass, now())
	}
}

// limited reports that the provider wants to be left alone until an instant; 0
// is that it did not say for how long.
func (x *exchange) limited(until int64) {
	if t := x.pay(); t != nil {
		t.Limited(x.pass, now(), until)
	}
}

// abandoned reports that nothing was found out.
func (x *exchange) abandoned() {
	if t := x.pay(); t != nil {
		t.Breaker.Abandoned(x.pass, now())
	}
}
