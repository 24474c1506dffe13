package route

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"llmproxy/breaker"
	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/openai"
	"llmproxy/upstream"
)

// Provider is a configured provider with its connections. It is immutable but
// for what it points to: Client, Meter and Learned outlive the Table.
type Provider struct {
	ID        int64
	Name      string
	NameBytes []byte // Name, for a header
	Label     metrics.Label
	Type      string // as this Table declares it, for traces; Client may be an older Table's
	Enabled   bool
	Client    *upstream.Client
	Meter     *metrics.Provider
	Learned   *Learned
	Recovery  config.Recovery     // of streams that break off
	Check     *config.HealthCheck // made at intervals; nil is none
	Models    []string            // the declared public names and patterns; empty serves every model

	mapping  map[string]string // public to the provider's own
	patterns []string          // the keys of mapping that end in '*'

	prices, anyPrices *prices // the provider's own, and those of every provider
}

// Learned is what the gateway found out about a provider by talking to it.
// It is kept as long as the provider's address and key stay the same.
//
// Its map is changed only while a Table is built, one at a time.
type Learned struct {
	// RefusesStreamOptions is set once a provider has refused
	// stream_options.include_usage; it is not asked for it again.
	RefusesStreamOptions atomic.Bool

	breakers map[string]*breaker.Breaker // by what the target asks for
}

// Target is one provider as the server of one model.
type Target struct {
	Provider *Provider
	Meter    *metrics.Model
	Breaker  *breaker.Breaker
	Tier     int // 0 is asked first

	name   []byte // the provider's name of the model as a JSON string; nil when it depends on the asked one
	prefix int    // bytes of the asked name that the pattern's prefix covers, when own replaces it
	own    string // what stands in front of the rest of the asked name
	asIs   bool   // the asked name is sent
}

// Upstream returns the JSON string that the provider is asked for, or nil when
// the name in the request's body is right as it stands. public is the name
// without the prefix; cut tells whether one was cut. scratch is used for names
// that are made up here, and is returned as the result's memory then.
func (t *Target) Upstream(scratch, public []byte, cut bool) []byte {
	switch {
	case t.name != nil:
		return t.name
	case t.asIs && !cut:
		return nil
	case t.asIs:
		return openai.AppendString(scratch, string(public))
	default:
		return openai.AppendString(scratch, t.own+string(public[t.prefix:]))
	}
}

// fit reports whether the target may be asked now, and takes the request in.
func (t *Target) fit(now int64) (breaker.Pass, bool) {
	if !t.Provider.Client.HasRoom() {
		return breaker.Pass{}, false
	}
	return t.Breaker.Enter(now)
}

// Succeeded reports an answer that shows the target at work.
func (t *Target) Succeeded(p breaker.Pass, now int64) {
	t.Breaker.Succeeded(p, now)
	t.Provider.Meter.SetHealthy(true)
}

// Began reports that an answer has begun that is still under way, and returns the
// pass to report its end with.
func (t *Target) Began(p breaker.Pass, now int64) breaker.Pass {
	t.Provider.Meter.SetHealthy(true)
	return t.Breaker.Began(p, now)
}

// Failed reports a failure that is the provider's.
func (t *Target) Failed(p breaker.Pass, now int64) {
	t.Breaker.Failed(p, now)
	t.Provider.Meter.SetHealthy(t.Breaker.State(now) == breaker.Closed)
}

// Limited reports that the provider asked to be left alone until an instant; 0 is
// that it did not say for how long.
func (t *Target) Limited(p breaker.Pass, now, until int64) { t.Breaker.Limited(p, now, until) }

// State returns what an operator is shown of the target now.
func (t *Target) State() breaker.State { return t.Breaker.State(Now()) }

// Refused reports that the provider does not take the gateway's key.
func (t *Target) Refused(p breaker.Pass, now int64) {
	t.Breaker.Refused(p, now)
	t.Provider.Meter.SetHealthy(false)
}

// UpstreamName returns the provider's own name for the model of that public name.
func (p *Provider) UpstreamName(public string) string {
	if own, ok := p.mapping[public]; ok {
		return own
	}
	best, own := -1, public
	for _, pattern := range p.patterns {
		prefix := pattern[:len(pattern)-1]
		if !strings.HasPrefix(public, prefix) || len(prefix) <= best {
			continue
		}
		best = len(prefix)
		value := p.mapping[pattern]
		if own = strings.TrimSuffix(value, "*"); own != value {
			own += public[len(prefix):]
		}
	}
	return own
}

// newTarget makes the target for the models that pattern covers: a full name, a
// pattern that ends in '*', or "" for a provider that serves every model.
// key is the mapping's own key that serves it.
func (b *Builder) newTarget(p *Provider, key string, model metrics.Label) Target {
	t := Target{Provider: p, Meter: b.Metrics.Model(model, p.Label), Breaker: b.breaker(p, key)}
	t.Meter.CircuitFunc(func() metrics.Circuit {
		return metrics.Circuit{State: int64(t.State()), Ejections: t.Breaker.Ejections()}
	})
	value, mapped := p.mapping[key]
	if !mapped {
		t.asIs = true
		return t
	}
	prefix, pattern := strings.CutSuffix(key, "*")
	own, wild := strings.CutSuffix(value, "*")
	switch {
	case !pattern || !wild:
		t.name = openai.AppendString(nil, value)
	case own == prefix:
		t.asIs = true
	default:
		t.prefix, t.own = len(prefix), own
	}
	return t
}

// Open reports whether the provider serves models that are not declared by name.
func (p *Provider) Open() bool { return len(p.mapping) == 0 || len(p.patterns) > 0 }

// PublicNames returns the names under which clients reach the
// provider's own model through a pattern or an empty mapping.
func (p *Provider) PublicNames(own string) []string {
	if len(p.mapping) == 0 {
		return []string{own}
	}
	var names []string
	for _, pattern := range p.patterns {
		value, wild := strings.CutSuffix(p.mapping[pattern], "*")
		if rest, ok := strings.CutPrefix(own, value); ok && wild {
			names = append(names, pattern[:len(pattern)-1]+rest)
		}
	}
	return names
}

// breaker returns the breaker of what a provider serves under a key of its
// mapping: the one that there is already, or a new one.
func (b *Builder) breaker(p *Provider, key string) *breaker.Breaker {
	found := p.Learned.breakers[key]
	if found == nil {
		found = breaker.New(b.Breaker, rand.Uint64())
		p.Learned.breakers[key] = found
	}
	return found
}
