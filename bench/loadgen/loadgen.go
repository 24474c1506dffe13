// Package loadgen sends chat requests to an OpenAI-compatible server at a
// fixed rate, checks every answer, and counts what they took.
//
//	t, err := loadgen.NewTarget("http://127.0.0.1:18000", key, nil)
//	r, err := loadgen.Run(ctx, t, loadgen.Plan{Rate: 100, Time: 10 * time.Second, …})
//	r.Latency.Quantile(0.99)
//
// The loop is open: a request has its moment, whatever became of those before
// it, and its time counts from that moment on. A server that stalls for half
// a second therefore shows in all requests that were due meanwhile, not only
// in those that were under way: nothing is left out because the generator
// itself had to wait ("coordinated omission").
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
	Rate        float64       // requests a second, evenly spaced
	Time        time.Duration // how long they are due
	Warm        time.Duration // before that: sent at the same rate, not counted
	Timeout     time.Duration // for an answer; and for the last requests to find a connection
	Connections int           // most of them; a request waits while none is free, and its time runs
	Model       string
	Stream      bool
	PromptBytes int
}

// Check reports what cannot be done.
func (p *Plan) Check() error {
	switch {
	case !(p.Rate > 0) || p.Rate > 1e6:
		return errors.New("the rate must be above 0, and 1000000 a second at most")
	case p.Time <= 0 || p.Warm < 0 || p.Timeout <= 0:
		return errors.New("times must be above 0")
	case p.Connections < 1 || p.Connections > 100_000:
		return errors.New("there must be 1 to 100000 connections")
	case p.PromptBytes < 0 || p.PromptBytes > 64<<20:
		return errors.New("a prompt has 64 MiB at most")
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
	warm, total int64 // numbers of requests: total has those of the warm-up in it
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
	r.began = time.Now()
	turns := make(chan int64)
	var working sync.WaitGroup
	working.Go(func() { r.pace(ctx, turns) })
	for _, c := range callers {
		working.Go(func() {
			defer c.close()
			r.work(ctx, c, turns)
		})
	}
	working.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.tally.result.Took = time.Since(r.began) - p.Warm
	return &r.tally.result, nil
}

// connect opens the connections, no more than there are requests. Those that
// fail are tried again by their first request, which counts it.
func (r *run) connect(ctx context.Context) []*caller {
	callers := make([]*caller, min(int64(r.plan.Connections), r.total))
	var dialing sync.WaitGroup
	few := make(chan struct{}, 32) // at once: a listen queue is short
	for i := range callers {
		callers[i] = newCaller(r.target, r.request, r.plan)
		dialing.Go(func() {
			few <- struct{}{}
			_ = callers[i].dial(ctx)
			<-few
		})
	}
	dialing.Wait()
	return callers
}

// pace gives out the requests, each at its moment. When no caller is free it
// waits: the moments of later requests do not move.
func (r *run) pace(ctx context.Context, turns chan<- int64) {
	defer close(turns)
	for i := range r.total {
		if !await(ctx, r.due(i)) {
			return
		}
		select {
		case turns <- i:
		case <-ctx.Done():
			return
		}
	}
}

// due is the moment of a request.
func (r *run) due(i int64) time.Time {
	return r.began.Add(time.Duration(float64(i) / r.plan.Rate * float64(time.Second)))
}

// work sends one request after another, until all are taken.
func (r *run) work(ctx context.Context, c *caller, turns <-chan int64) {
	giveUp := r.began.Add(r.plan.Warm + r.plan.Time + r.plan.Timeout)
	var busy time.Time // until then
	for i := range turns {
		now := time.Now()
		x := exchange{due: r.due(i), sent: now, waited: busy.After(r.due(i))}
		if now.After(giveUp) {
			x.fault, x.end, x.unanswered = "not sent", now, true
		} else {
			c.ask(ctx, &x)
		}
		if ctx.Err() != nil {
			return
		}
		busy = x.end
		r.tally.add(&x, i < r.warm)
	}
}

// await pauses until the moment; it reports false when ctx ends first.
func await(ctx context.Context, moment time.Time) bool {
	if d := time.Until(moment) - timerError; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	if d := time.Until(moment); d > 0 {
		sleep(d)
	}
	return ctx.Err() == nil
}
