package metrics

import "sync/atomic"

// Provider is what is counted of one provider. Resolve it when a table is
// built; the same name gives the same one.
type Provider struct {
	entry
	Latency   Durations // llm_proxy_provider_latency_seconds: an attempt, from sending it to the head of its answer
	Truncated *Counter  // llm_proxy_streams_truncated_total: streams that ended without their end
	BadEvents *Counter  // llm_proxy_bad_events_total: stream events that were not what they should be

	name      Label
	retries   []*Counter // by index of retryReasons
	unhealthy atomic.Bool

	connections atomic.Pointer[func() Connections]
}

// Connections is how many connections to a provider are in use and at rest.
type Connections struct{ Active, Idle int64 }

// providerLines is how many series a provider has at most.
var providerLines = requestBuckets.lines() + int64(len(retryReasons)) + 5

// Provider returns the counts of one provider, healthy until told otherwise.
// There are as many as are configured, so they need no room under MaxSeries,
// but take it.
func (r *Registry) Provider(name Label) *Provider {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.providers[name]
	if p == nil {
		p = &Provider{name: name, Truncated: new(Counter), BadEvents: new(Counter)}
		p.labels = r.labels.render("provider", name)
		p.Latency.init(requestBuckets)
		for range retryReasons {
			p.retries = append(p.retries, new(Counter))
		}
		r.providers[name] = p
		r.series.Add(providerLines)
	}
	p.fate = live
	return p
}

// SetHealthy says whether the provider is fit to be asked:
// llm_proxy_provider_health.
func (p *Provider) SetHealthy(healthy bool) {
	if p.unhealthy.Load() == healthy { // a store on every request would bounce the cache line
		p.unhealthy.Store(!healthy)
	}
}

// Retried counts that another attempt was made because this provider's failed:
// llm_proxy_retries_total. The reason is connect, reset, timeout, server_error,
// unavailable, invalid_answer, rate_limited, auth, context_length,
// unsupported_field or busy; anything else is other.
func (p *Provider) Retried(reason string) { p.retries[indexOf(retryReasons, reason)].Inc() }

// ConnectionsFunc shows what read returns at every scrape:
// llm_proxy_upstream_connections. The last one given counts; nil shows none.
func (p *Provider) ConnectionsFunc(read func() Connections) {
	if read == nil {
		p.connections.Store(nil)
		return
	}
	p.connections.Store(&read)
}

type modelKey struct{ Model, Provider Label }

// Model is what is counted of one model at one provider. Resolve it when a
// table is built.
type Model struct {
	entry
	TTFT            Durations // llm_proxy_ttft_seconds: a stream, from the request to the first event that carries content
	TokensPerSecond Speeds    // llm_proxy_tokens_per_second: completion tokens by the time from the first event to the last

	key     modelKey
	circuit atomic.Pointer[func() Circuit]
}

// Circuit is the state of a target's circuit breaker, and how often it has
// opened.
type Circuit struct{ State, Ejections int64 }

// CircuitFunc shows what read returns at every scrape:
// llm_proxy_provider_circuit_state and llm_proxy_provider_ejections_total. The
// last one given counts; without one the breaker is shown closed.
func (m *Model) CircuitFunc(read func() Circuit) { m.circuit.Store(&read) }

var modelLines = ttftBuckets.lines() + speedBuckets.lines() + 2

// Model returns the counts of a model at a provider; for want of room those of
// all that found none.
func (r *Registry) Model(model, provider Label) *Model {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := modelKey{model, provider}
	if m := r.models[k]; m != nil {
		m.fate = live
		return m
	}
	if r.reserve(modelLines, 0) {
		return r.newModelLocked(k)
	}
	r.seriesDropped.Inc()
	k = modelKey{Other, Other}
	if m := r.models[k]; m != nil {
		return m
	}
	r.series.Add(modelLines)
	return r.newModelLocked(k)
}

func (r *Registry) newModelLocked(k modelKey) *Model {
	m := &Model{key: k}
	m.labels = r.labels.render("model", k.Model, "provider", k.Provider)
	m.TTFT.init(ttftBuckets)
	m.TokensPerSecond.init(speedBuckets)
	r.models[k] = m
	return m
}
