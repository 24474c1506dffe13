package upstream

import (
	"sync/atomic"
	"time"
)

// room is the places of MaxConcurrency. Who finds none may wait until somebody
// leaves.
type room struct {
	inflight atomic.Int64 // attempts between Send and Close
	waiting  atomic.Int64
	// free has a token when a place may have become free while somebody waits.
	// One is enough: who wakes and sees that there is still room for another
	// passes it on.
	free chan struct{}
}

// HasRoom reports whether the provider has fewer attempts than MaxConcurrency.
// Send may still find it full: whoever asked at the same moment was quicker.
func (c *Client) HasRoom() bool {
	limit := c.settings.MaxConcurrency
	return limit <= 0 || c.room.inflight.Load() < limit
}

// AwaitRoom waits until the provider has room, for so long at most; a token
// from gone, or its closing, ends that. It reports whether there is room. A
// place is not taken by it.
func (c *Client) AwaitRoom(gone <-chan struct{}, most time.Duration) bool {
	c.room.waiting.Add(1) // before the look: who leaves after it sees that somebody waits
	defer c.room.waiting.Add(-1)
	timer := time.NewTimer(most)
	defer timer.Stop()
	for !c.HasRoom() {
		select {
		case <-c.room.free:
		case <-timer.C:
			return c.HasRoom()
		case <-gone:
			return false
		}
	}
	if c.room.waiting.Load() > 1 {
		c.room.announce()
	}
	return true
}

// enter takes one of MaxConcurrency places; false if there is none.
func (c *Client) enter() bool {
	n := c.room.inflight.Add(1)
	if limit := c.settings.MaxConcurrency; limit > 0 && n > limit {
		c.leave()
		return false
	}
	return true
}

// leave gives the place back.
func (c *Client) leave() {
	c.room.inflight.Add(-1)
	if c.room.waiting.Load() > 0 {
		c.room.announce()
	}
}

func (r *room) announce() {
	select {
	case r.free <- struct{}{}:
	default:
	}
}
