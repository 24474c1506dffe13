package health

import "time"

// What a provider or a model can be.
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
	Disabled  = "disabled" // switched off: not asked
	Degraded  = "degraded" // of a report only: some providers are healthy and some are not
	Unknown   = "unknown"  // nothing to ask for, or no time to ask
)

// Report is the answer of /health/detailed and of the Admin API's checks.
type Report struct {
	Status    string     `json:"status"` // of the enabled providers together
	Total     int        `json:"total_providers"`
	Healthy   int        `json:"healthy_providers"`
	Unhealthy int        `json:"unhealthy_providers"`
	Disabled  int        `json:"disabled_providers"`
	Unknown   int        `json:"unknown_providers"`
	Providers []Provider `json:"providers"`
	CheckedAt time.Time  `json:"checked_at"`
}

// Provider is one provider's part of a Report.
type Provider struct {
	ID              int64     `json:"provider_id"`
	Key             string    `json:"provider_key"`
	Status          string    `json:"status"`
	Circuit         string    `json:"circuit_state,omitempty"` // the worst of all its models'
	Models          []Model   `json:"models"`
	AvgResponseTime *float64  `json:"avg_response_time_ms"` // of the models that answered; null if none did
	CheckedAt       time.Time `json:"checked_at"`
}

// Model is how one model of a provider answered.
type Model struct {
	Model        string   `json:"model"`
	Status       string   `json:"status"`
	ResponseTime *float64 `json:"response_time_ms"` // null if it was not asked
	Error        *string  `json:"error"`
	Circuit      string   `json:"circuit_state,omitempty"` // of its breaker, which requests go by
}

// summarize fills what follows from the models.
func (p *Provider) summarize() {
	var sum float64
	var healthy, asked int
	for _, m := range p.Models {
		switch m.Status {
		case Healthy:
			healthy++
			asked++
			sum += *m.ResponseTime
		case Unhealthy:
			asked++
		}
	}
	if healthy > 0 {
		avg := sum / float64(healthy)
		p.AvgResponseTime = &avg
	}
	switch {
	case p.Status == Disabled:
	case asked == 0:
		p.Status = Unknown
	case healthy > 0:
		p.Status = Healthy
	default:
		p.Status = Unhealthy
	}
}

// NewReport sums the providers up.
func NewReport(providers []Provider, at time.Time) *Report {
	r := &Report{Status: Unknown, Total: len(providers), Providers: providers, CheckedAt: at}
	if providers == nil {
		r.Providers = []Provider{}
	}
	for _, p := range providers {
		switch p.Status {
		case Healthy:
			r.Healthy++
		case Unhealthy:
			r.Unhealthy++
		case Disabled:
			r.Disabled++
		default:
			r.Unknown++
		}
	}
	switch {
	case r.Healthy > 0 && r.Unhealthy > 0:
		r.Status = Degraded
	case r.Healthy > 0:
		r.Status = Healthy
	case r.Unhealthy > 0:
		r.Status = Unhealthy
	}
	return r
}
