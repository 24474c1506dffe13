package server

import (
	"time"

	"llmproxy/metrics"
	"llmproxy/usage"
)

// statusClientGone is recorded, and never sent, when the client left before
// it had a status: nginx's 499.
const statusClientGone = 499

// ending is how an exchange ended.
type ending struct {
	outcome usage.Outcome
	phase   string // of Cancelled: what the request waited for
	err     error  // for the log
}

// settle ends the request: it is counted, the provider's connection is given
// back or closed, nobody can stop it any more. It does so once: further calls
// do nothing. The goroutine that owns the exchange calls it.
func (s *Server) settle(x *exchange, end ending) {
	if x.settled {
		return
	}
	x.settled = true
	s.inflight.remove(x)
	x.watch.Stop()
	x.attempt.Close()
	x.leaveSeat()
	if x.entered {
		s.Limiter.Leave()
	}
	x.endpoint.active.Add(-1)

	took := time.Duration(now() - x.startAt)
	counts := s.metrics.Requests(metrics.Key{
		Method: s.post, Endpoint: x.endpoint.label, Model: x.modelLabel(),
		Provider: x.providerLabel(), APIKey: x.apiKeyLabel(),
	})
	counts.Done(x.status, took)
	s.countEnding(x, end)
	s.journal.request(x, end, took) // before the body is handed over
	if x.admitted || end.outcome != usage.Refused {
		s.account(x, end, counts, took)
	}
	s.traceRefused(x, end, took)
}

// countEnding counts what went wrong, and how quick the stream was.
func (s *Server) countEnding(x *exchange, end ending) {
	if end.outcome == usage.Cancelled {
		s.metrics.Cancelled(end.phase)
	}
	x.reportEnd(end.outcome)
	if x.firstAt == 0 {
		return
	}
	x.target.Meter.TTFT.Observe(time.Duration(x.firstAt - x.startAt))
	streaming := seconds(now() - x.firstAt)
	if x.hasUsage && x.usage.Completion > 1 && streaming > 0 {
		x.target.Meter.TokensPerSecond.Observe(float64(x.usage.Completion) / streaming)
	}
}

// reportEnd tells how the answer ended to the breaker that heard that it had
// begun. A break that resume reported is no second one, and what a drain broke
// off is not the provider's doing.
func (x *exchange) reportEnd(outcome usage.Outcome) {
	switch {
	case outcome == usage.Complete:
		x.succeeded()
	case outcome == usage.Truncated && x.stopped() == running && x.failed():
		x.target.Provider.Meter.Truncated.Inc()
	default:
		x.abandoned()
	}
}

// lost reports whether the client lost something that the operator should hear of.
func (e ending) lost() bool { return e.outcome == usage.Failed || e.outcome == usage.Truncated }

// apiKeyLabel says who asks; unknown callers are "none".
func (x *exchange) apiKeyLabel() metrics.Label {
	if x.caller == nil {
		return metrics.None
	}
	return x.caller.Label
}

func (x *exchange) modelLabel() metrics.Label {
	switch {
	case x.route != nil:
		return x.route.Model
	case x.parsed.Model != nil:
		return metrics.Other
	}
	return metrics.None
}

func (x *exchange) providerLabel() metrics.Label {
	if x.target == nil {
		return metrics.None
	}
	return x.target.Provider.Label
}
