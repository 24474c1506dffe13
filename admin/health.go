package admin

import (
	"context"
	"time"
)

// Prober makes real calls with few tokens.
type Prober interface {
	// Check probes and returns when all is known or query.Timeout is over. It
	// reports the providers that were asked for and exist.
	Check(ctx context.Context, query HealthQuery) HealthReport
}

// HealthQuery says what to probe.
type HealthQuery struct {
	ProviderIDs   []int64       // empty: all
	Models        []string      // public names; empty: what the prober chooses
	Timeout       time.Duration // of all probes together
	MaxConcurrent int           // probes at once
}

// Status is what is known of a provider or of one of its models.
type Status string

// The states of a provider.
const (
	Healthy   Status = "healthy"
	Unhealthy Status = "unhealthy"
	Degraded  Status = "degraded" // of a report only: some are healthy and some are not
	Disabled  Status = "disabled"
	Unknown   Status = "unknown"
)

// HealthReport is the answer to /health/detailed and to health/check.
type HealthReport struct {
	Status    Status           `json:"status"`
	Total     int              `json:"total_providers"`
	Healthy   int              `json:"healthy_providers"`
	Unhealthy int              `json:"unhealthy_providers"`
	Providers []ProviderHealth `json:"providers"`
}

// ProviderHealth is what the probes of one provider found.
type ProviderHealth struct {
	ID        int64         `json:"provider_id"`
	Key       string        `json:"provider_key"`
	Status    Status        `json:"status"`
	Models    []ModelHealth `json:"models"`
	AverageMS *float64      `json:"avg_response_time_ms"` // nil: no probe was answered
	CheckedAt time.Time     `json:"checked_at"`
}

// ModelHealth is one probe. Error never holds a key.
type ModelHealth struct {
	Model      string   `json:"model"`
	Status     Status   `json:"status"`
	ResponseMS *float64 `json:"response_time_ms"`
	Error      *string  `json:"error"`
}

// NewHealthReport counts the providers and sums them up in one status.
func NewHealthReport(providers []ProviderHealth) HealthReport {
	r := HealthReport{Status: Unknown, Total: len(providers), Providers: providers}
	for i := range providers {
		if providers[i].Models == nil {
			providers[i].Models = []ModelHealth{}
		}
		switch providers[i].Status {
		case Healthy:
			r.Healthy++
		case Unhealthy:
			r.Unhealthy++
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
	if r.Providers == nil {
		r.Providers = []ProviderHealth{}
	}
	return r
}
