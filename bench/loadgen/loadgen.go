// Package loadgen sends chat requests to an OpenAI-compatible server, checks
// every answer, and counts what they took.
//
//	t, err := loadgen.NewTarget("http://127.0.0.1:18000", key, nil)
//	r, err := loadgen.Run(ctx, t, loadgen.Plan{Rate: 100, Time: 10 * time.Second, …})
//	r.Latency.Quantile(0.99)
//
// The loop is open: a request has its moment, whatever became of those before
// it, and its time counts from that moment on. A server that stalls for half
// a second therefore shows in all requests that were due meanwhile, not only
// in those that were under way: nothing is left out because the generator
// itself had to wait ("coordinated omission"). A plan may ask for a closed
// loop instead, in which every connection sends its next request when it has
// the answer to the last: that finds the most that a server can do, and says
// little about how long it lets anybody wait.
//
// It knows nothing of gateways; llm-proxy bench is its user.
package loadgen

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// Plan says what is sent.
type Plan struct {
	Rate    float64 // requests a second, evenly spaced; not of a closed loop
	Poisson bool    // at random moments instead, as from many clients; Rate is their mean
	Closed  bool    // a closed loop: all connections are busy all the time

	Time         time.Duration // how long requests are due
	Warm         time.Duration // before that: sent in the same way, not counted
	Timeout      time.Duration // for an answer; and for the last requests to find a connection
	Connections  int           // most of them; a request waits while none is free, and its time runs
	Fresh        bool          // every request has a connection of its own
	Model        string
	Stream       bool
	PromptBytes  int
	AnswerTokens int // asked for as max_tokens; 0 leaves that to the server
}

// Check reports what cannot be done.
func (p *Plan) Check() error {
	switch {
	case p.Closed && (p.Rate != 0 || p.Poisson):
		return errors.New("a closed loop has no rate")
	case !p.Closed && (!(p.Rate > 0) || p.Rate > 1e6):
		return errors.New("the rate must be above 0, and 1000000 a second at most")
	case p.Time <= 0 || p.Warm < 0 || p.Timeout <= 0:
		return errors.New("times must be above 0")
	case p.Connections < 1 || p.Connections > 100_000:
		return errors.New("there must be 1 to 100000 connections")
	case p.PromptBytes < 0 || p.PromptBytes > 64<<20:
		return errors.New("a prompt has 64 MiB at most")
	case p.AnswerTokens < 0 || p.AnswerTokens > 10_000_000:
		return errors.New("an answer has 10000000 tokens at most")
	}
	return nil
}

// due returns how many requests are due in the time d.
func (p *Plan) due(d time.Duration) int64 {
	return int64(math.Ceil(p.Rate*d.Seconds() - 1e-6))
}

// run is one load under way. Its workers share what is here.
type run struct {
	plan        Plan
	target      *Target
	request     []byte
	began       time.Time
	warm, total int64 // numbers of requests of an open loop: total has those of the warm-up in it
	tally       tally
}

// Run loads the target once. It fails only when the plan cannot be done or ctx
// ends: answers that are wrong, or missing, are counted in the Result. It is
// over after the plan's warm-up, time and twice its timeout, at the latest.
func Run(ctx context.Context, t *Target, p Plan) (*Result, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	r := &run{plan: p, target: t, request: t.request(p), warm: p.due(p.Warm), total: p.due(p.Warm) + p.due(p.Time)}
	callers := r.connect(ctx)
	r.begin()
	if p.Closed {
		r.closedLoop(ctx, callers)
	} else {
		r.openLoop(ctx, callers)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, c := range callers {
		r.tally.result.Opened += c.opened
	}
	r.tally.result.Took = time.Since(r.began) - p.Warm
	return &r.tally.result, nil
}

// begin starts the clock.
func (r *run) begin() {
	r.began = time.Now()
	r.tally.from = r.began.Add(r.plan.Warm)
	r.tally.until = r.tally.from.Add(r.plan.Time)
}

// connect opens the connections, no more than there are requests. Those that
// fail are tried again by their first request, which counts it.
func (r *run) connect(ctx context.Context) []*caller {
	n := r.plan.Connections
	if !r.plan.Closed {
		n = int(min(int64(n), r.total))
	}
	callers := make([]*caller, n)
	var dialing sync.WaitGroup
	few := make(chan struct{}, 32) // at once: a listen queue is short
	for i := range callers {
		callers[i] = newCaller(r.target, r.request, r.plan)
		if r.plan.Fresh {
			continue
		}
		dialing.Go(func() {
			few <- struct{}{}
			_ = callers[i].dial(ctx)
			<-few
		})
	}
	dialing.Wait()
	return callers
}
