package metrics

// limited counts what one client key's rate limit refused.
type limited struct {
	entry
	apiKey Label
	n      Counter
}

// RateLimited counts the requests of one client key that its limit refused:
// llm_proxy_rate_limited_total. Resolve it when a table is built.
func (r *Registry) RateLimited(apiKey Label) *Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.rateLimited[apiKey]
	if l == nil && !r.reserve(1, 0) {
		r.seriesDropped.Inc()
		apiKey = Other
		l = r.rateLimited[apiKey]
		if l == nil {
			r.series.Add(1) // this one always fits
		}
	}
	if l == nil {
		l = &limited{apiKey: apiKey}
		l.labels = r.labels.render("api_key_name", apiKey)
		r.rateLimited[apiKey] = l
	}
	l.fate = live
	return &l.n
}
