package main

import (
	"context"
	"fmt"
	"time"

	"llmproxy/bench/testbed"
)

const (
	fewest   = 64                     // connections of the first closed loop
	loopWarm = time.Second            // of each
	loopTime = 4 * time.Second        // measured, of each
	gain     = 1.03                   // by less the peak does not grow any more
	recovery = 10 * time.Second       // is watched for so long
	sampling = 100 * time.Millisecond // of memory
)

// saturate finds the peak: closed loops of more and more connections, each of
// which sends its next request when it has its answer, until more of them do
// not get more answers.
func (l *load) saturate(ctx context.Context, r *report) (peak float64, err error) {
	for n := fewest; n <= l.o.connections; n *= 2 {
		s := newStep(true)
		for range n {
			if err := l.send(time.Now(), s); err != nil {
				return 0, err
			}
		}
		if err := testbed.Pause(ctx, loopWarm+loopTime); err != nil {
			return 0, err
		}
		s.stop()
		if err := l.settle(ctx); err != nil {
			return 0, err
		}
		f := s.figures(0, loopWarm)
		r.printLoop(n, f)
		if f.Goodput < peak*gain {
			return max(peak, f.Goodput), nil
		}
		peak = f.Goodput
	}
	return peak, nil
}

// recover offers what was offered first again, right after the last step, and
// looks when it is as quick as it was then. At the end nothing may be left.
func (l *load) recover(ctx context.Context, r *report) error {
	first := r.o.factors[0]
	s, err := l.offer(ctx, first, r.Peak*first, recovery, r)
	if err != nil {
		return err
	}
	r.recovered(s)
	if err := l.settle(ctx); err != nil {
		return err
	}
	for _, name := range []string{"llm_proxy_active_requests", "llm_proxy_queued_requests"} {
		n, err := l.server.Metric(name)
		if err != nil {
			return err
		}
		r.Left += int64(n)
	}
	return nil
}

// watch notes the gateway's memory until the returned function is called, and
// prints each second that is over if that was asked for.
func (l *load) watch(s *step, factor float64, r *report) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(sampling)
		defer t.Stop()
		for printed := 0; ; {
			select {
			case <-ended:
				return
			case now := <-t.C:
				rss, err := l.server.RSS()
				if err != nil {
					l.fail(fmt.Errorf("the gateway's memory: %w", err))
					return
				}
				over := s.note(now, rss)
				for ; l.o.verbose && printed < over; printed++ {
					r.printSecond(factor, s, printed)
				}
			}
		}
	}()
	return func() { close(ended); <-done }
}
