package upstream

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// How a provider is rested: after sickAfter failures in a row for restFirst,
// twice as long each time it fails again after a rest, up to restMax, each a
// little shorter by chance. One success heals. So a provider is back in use at
// most restMax after it recovered.
const (
	sickAfter = 5
	restFirst = time.Second
	restMax   = 30 * time.Second
)

// health is what is known of a provider from its answers. All of it is atomic;
// instants are Unix nanoseconds.
type health struct {
	failures  atomic.Int32 // in a row
	rests     atomic.Int32 // in a row
	sickUntil atomic.Int64 // rest after failures
	restUntil atomic.Int64 // rest that the provider asked for
	probes    atomic.Int32 // attempts that began while it was sick
}

// Usable reports whether the provider may be asked now: it is not resting and
// has a free place. After a rest a sick provider is asked by one attempt at a
// time until one succeeds.
func (c *Client) Usable(now int64) bool {
	h := &c.health
	if now < h.restUntil.Load() {
		return false
	}
	if !c.Healthy() && (now < h.sickUntil.Load() || h.probes.Load() > 0) {
		return false
	}
	limit := c.settings.MaxConcurrency
	return limit <= 0 || c.inflight.Load() < limit
}

// Healthy reports whether the provider's last answers were not all failures.
func (c *Client) Healthy() bool { return c.health.failures.Load() < sickAfter }

// Failed records a failure that is the provider's.
func (c *Client) Failed(now int64) {
	h := &c.health
	if h.failures.Add(1) < sickAfter {
		return
	}
	until := h.sickUntil.Load()
	if now < until {
		return // begun before the rest: no news
	}
	n := h.rests.Load()
	rest := restFor(n, rand.Float64())
	if h.sickUntil.CompareAndSwap(until, now+int64(rest)) {
		h.rests.Store(n + 1)
	}
}

// restFor is the length of the n-th rest in a row: 1, 2, 4 … 30 seconds, less
// up to a quarter.
func restFor(n int32, random float64) time.Duration {
	rest := restMax
	if n < 5 {
		rest = restFirst << max(n, 0)
	}
	return time.Duration(float64(rest) * (1 - random/4))
}

// Succeeded records an answer that shows the provider at work.
func (c *Client) Succeeded() {
	h := &c.health
	if h.failures.Load() == 0 {
		return
	}
	h.failures.Store(0)
	h.rests.Store(0)
	h.sickUntil.Store(0)
}

// RestUntil keeps the provider from being asked before t, as its Retry-After
// said. A success does not shorten it.
func (c *Client) RestUntil(t int64) {
	h := &c.health
	for {
		until := h.restUntil.Load()
		if t <= until || h.restUntil.CompareAndSwap(until, t) {
			return
		}
	}
}
