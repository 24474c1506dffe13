package loadgen

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// turn is a request of an open loop, and its moment.
type turn struct {
	number int64
	due    time.Time
}

// openLoop gives every request its moment, and to whichever caller is free.
func (r *run) openLoop(ctx context.Context, callers []*caller) {
	turns := make(chan turn)
	var working sync.WaitGroup
	working.Go(func() { r.pace(ctx, turns) })
	for _, c := range callers {
		working.Go(func() {
			defer c.close()
			r.work(ctx, c, turns)
		})
	}
	working.Wait()
}

// pace gives out the requests, each at its moment. When no caller is free it
// waits: the moments of later requests do not move.
func (r *run) pace(ctx context.Context, turns chan<- turn) {
	defer close(turns)
	after := r.schedule()
	for i := range r.total {
		t := turn{i, r.began.Add(after(i))}
		if !await(ctx, t.due) {
			return
		}
		select {
		case turns <- t:
		case <-ctx.Done():
			return
		}
	}
}

// schedule answers when each request is due after the beginning. It is asked
// for them in their order, once. Random moments are the same in every run, so
// that two targets get the same ones.
func (r *run) schedule() func(i int64) time.Duration {
	if !r.plan.Poisson {
		return func(i int64) time.Duration {
			return time.Duration(float64(i) / r.plan.Rate * float64(time.Second))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	at := 0.0 // seconds
	return func(int64) time.Duration {
		at += random.ExpFloat64() / r.plan.Rate
		return time.Duration(at * float64(time.Second))
	}
}

// work sends one request after another, until all are taken.
func (r *run) work(ctx context.Context, c *caller, turns <-chan turn) {
	giveUp := r.began.Add(r.plan.Warm + r.plan.Time + r.plan.Timeout)
	var busy time.Time // until then
	for t := range turns {
		now := time.Now()
		x := exchange{due: t.due, sent: now, waited: busy.After(t.due)}
		if now.After(giveUp) {
			x.fault, x.end, x.unanswered = notSent, now, true
		} else {
			c.ask(ctx, &x)
		}
		if ctx.Err() != nil {
			return
		}
		busy = x.end
		r.tally.add(&x, t.number < r.warm)
	}
}

// await pauses until the moment; it reports false when ctx ends first.
func await(ctx context.Context, moment time.Time) bool {
	if d := time.Until(moment) - timerError; d > 0 && !pause(ctx, d) {
		return false
	}
	if d := time.Until(moment); d > 0 {
		sleep(d)
	}
	return ctx.Err() == nil
}

// pause waits for d by a timer; it reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
