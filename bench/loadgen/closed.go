package loadgen

import (
	"context"
	"sync"
	"time"
)

// unreachable is the pause of a closed loop after it found no connection: a
// server that is away is not asked thousands of times a second.
const unreachable = 10 * time.Millisecond

// closedLoop keeps every caller busy until the time is over. Requests that
// were begun in time are waited for and counted.
func (r *run) closedLoop(ctx context.Context, callers []*caller) {
	var working sync.WaitGroup
	for _, c := range callers {
		working.Go(func() {
			defer c.close()
			r.repeat(ctx, c)
		})
	}
	working.Wait()
}

// repeat sends the next request as soon as there is the answer to the last.
func (r *run) repeat(ctx context.Context, c *caller) {
	for now := time.Now(); now.Before(r.tally.until); {
		x := exchange{due: now, sent: now}
		c.ask(ctx, &x)
		if ctx.Err() != nil {
			return
		}
		r.tally.add(&x, now.Before(r.tally.from))
		if now = x.end; c.conn == nil && x.firstByte.IsZero() {
			if !pause(ctx, unreachable) {
				return
			}
			now = time.Now()
		}
	}
}
