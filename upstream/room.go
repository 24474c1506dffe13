package upstream

// HasRoom reports whether the provider has fewer attempts than MaxConcurrency.
// Send may still find it full: whoever asked at the same moment was quicker.
func (c *Client) HasRoom() bool {
	limit := c.settings.MaxConcurrency
	return limit <= 0 || c.inflight.Load() < limit
}
