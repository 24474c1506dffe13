package upstream

// HasRoom reports whether the provider has fewer attempts than MaxConcurrency.
// Send may still find it full: whoever asked at the same moment was quicker.
func (c *Client) HasRoom() bool {
	limit := c.settings.MaxConcurrency
	return limit <= 0 || c.inflight.Load() < limit
}

// enter takes one of MaxConcurrency places; false if there is none.
func (c *Client) enter() bool {
	n := c.inflight.Add(1)
	if limit := c.settings.MaxConcurrency; limit > 0 && n > limit {
		c.inflight.Add(-1)
		return false
	}
	return true
}

// leave gives the place back.
func (c *Client) leave() { c.inflight.Add(-1) }
