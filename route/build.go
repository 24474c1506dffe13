package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"llmproxy/balance"
	"llmproxy/breaker"
	"llmproxy/budget"
	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
	"llmproxy/upstream"
)

// Builder holds what every Table of the process is built with.
type Builder struct {
	Metrics        *metrics.Registry
	Buckets        *ratelimit.Buckets
	Purses         *budget.Purses    // nil: budgets are not kept, which only a test may want
	Client         upstream.Settings // defaults: timeouts, TLS and address rules; the provider's own are laid over them
	Breaker        breaker.Settings  // when a target is left out, and for how long
	CutPrefix      string            // PROVIDER_SUFFIX: "Proxy" makes "Proxy/gpt-4" the model gpt-4
	AllowAnonymous bool              // lets requests in when no credential is configured
}

// Build compiles the set. What old holds for the same providers and keys is
// lent to the new Table; old stays usable. On an error nothing has changed.
func (b *Builder) Build(set *config.Set, old *Table) (*Table, error) {
	if err := set.Validate(); err != nil {
		return nil, err
	}
	t := &Table{Version: set.Version, set: set, callers: make(map[[32]byte]*Caller, len(set.Credentials))}
	if b.CutPrefix != "" {
		t.cut = b.CutPrefix + "/"
	}
	if err := b.addProviders(t, old); err != nil {
		closeClients(t, old)
		return nil, err
	}
	if err := b.addCallers(t); err != nil {
		closeClients(t, old)
		return nil, err
	}
	t.models = b.routes(t.Providers, set.Providers)
	return t, nil
}

func (b *Builder) addCallers(t *Table) error {
	for i := range t.set.Credentials {
		c := &t.set.Credentials[i]
		caller, hash, err := b.newCaller(c)
		if err != nil {
			return err
		}
		if c.Enabled {
			t.callers[hash] = caller
		}
	}
	if len(t.set.Credentials) == 0 && b.AllowAnonymous {
		t.anonymous = &Caller{Name: "anonymous", Label: metrics.Anonymous, all: true}
	}
	return nil
}

func (b *Builder) addProviders(t *Table, old *Table) error {
	prices := sortPrices(t.set)
	for i := range t.set.Providers {
		p, err := b.newProvider(&t.set.Providers[i], old)
		if err != nil {
			return fmt.Errorf("provider %q: %w", t.set.Providers[i].Key, err)
		}
		p.prices, p.anyPrices = prices[p.Name], prices[""]
		t.Providers = append(t.Providers, p)
	}
	return nil
}

func (b *Builder) newProvider(c *config.Provider, old *Table) (*Provider, error) {
	p := &Provider{
		ID: c.ID, Name: c.Key, NameBytes: []byte(c.Key), Enabled: c.Enabled, mapping: c.ModelMapping,
		Label: b.Metrics.Label(c.Key), Type: c.Type,
	}
	p.Meter = b.Metrics.Provider(p.Label)
	p.Recovery, p.Check = c.Params.StreamRecovery, c.Params.HealthCheck
	for name := range c.ModelMapping {
		p.Models = append(p.Models, name)
		if strings.HasSuffix(name, "*") {
			p.patterns = append(p.patterns, name)
		}
	}
	slices.Sort(p.Models)

	settings := b.settings(c)
	if o := old.provider(c.ID, settings); o != nil {
		p.Client, p.Learned = o.Client, o.Learned
		return p, nil
	}
	client, err := upstream.NewClient(settings)
	if err != nil {
		return nil, err
	}
	p.Client, p.Learned = client, &Learned{breakers: map[string]*breaker.Breaker{}}
	p.Meter.SetHealthy(true) // at another address, or with another key: nothing is known against it
	p.Meter.ConnectionsFunc(func() metrics.Connections {
		s := client.Stats()
		return metrics.Connections{Active: s.Inflight, Idle: s.Idle}
	})
	return p, nil
}

// provider returns the one with the same id and the same settings; nil if there is none.
func (t *Table) provider(id int64, settings upstream.Settings) *Provider {
	if t == nil {
		return nil
	}
	for _, p := range t.Providers {
		if p.ID == id && p.Client.Settings() == settings {
			return p
		}
	}
	return nil
}

// closeClients closes the clients of a Table that does not serve, but for
// those that the other one has too.
func closeClients(t, other *Table) {
	for _, p := range t.Providers {
		if !other.has(p.Client) {
			p.Client.Close()
		}
	}
}

func (t *Table) has(c *upstream.Client) bool {
	return t != nil && slices.ContainsFunc(t.Providers, func(p *Provider) bool { return p.Client == c })
}

// candidate is a target before it is sorted into its tier.
type candidate struct {
	target   Target
	rank     int // 0: the model's own name is declared, 1: a pattern, 2: serves every model
	priority int
	weight   int
}

const (
	rankExact = iota
	rankPattern
	rankAny
)

// routes makes the Route of every declared name and pattern, and the one for
// everything else. A model that matches a pattern of one provider is also
// served, after it, by those with a shorter pattern or with none.
func (b *Builder) routes(providers []*Provider, declared []config.Provider) models {
	m := newModels()
	for _, p := range declared {
		if !p.Enabled {
			continue
		}
		for name := range p.ModelMapping {
			if prefix, ok := strings.CutSuffix(name, "*"); ok {
				m.prefix[prefix] = nil
			} else {
				m.exact[name] = nil
			}
		}
	}
	for name := range m.exact {
		m.exact[name] = b.newRoute(name, false, providers, declared)
	}
	for prefix := range m.prefix {
		m.prefix[prefix] = b.newRoute(prefix, true, providers, declared)
	}
	m.any = b.newRoute("", true, providers, declared)
	m.index()
	return m
}

// newRoute collects who serves name, or every name that begins with it when it
// is a pattern. It returns nil when nobody does.
func (b *Builder) newRoute(name string, pattern bool, providers []*Provider, declared []config.Provider) *Route {
	label := metrics.Other
	switch {
	case pattern && name != "":
		label = b.Metrics.Label(name + "*")
	case !pattern:
		label = b.Metrics.Label(name)
	}
	var (
		found   []candidate
		created time.Time
	)
	for i, p := range providers {
		if key, rank, ok := p.serves(name, pattern); ok && p.Enabled {
			if at := declared[i].CreatedAt; created.IsZero() || at.Before(created) {
				created = at
			}
			found = append(found, candidate{
				target: b.newTarget(p, key, label), rank: rank,
				priority: declared[i].Priority, weight: declared[i].Weight,
			})
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &Route{Model: label, Created: created, declared: !pattern, tiers: tiers(found)}
}

// serves returns the key of the provider's mapping that covers name, the most
// specific one, and how specific it is.
func (p *Provider) serves(name string, pattern bool) (key string, rank int, ok bool) {
	if len(p.mapping) == 0 {
		return "", rankAny, true
	}
	if _, exact := p.mapping[name]; exact && !pattern {
		return name, rankExact, true
	}
	best := -1
	for _, k := range p.patterns {
		prefix := k[:len(k)-1]
		if strings.HasPrefix(name, prefix) && len(prefix) > best {
			key, best = k, len(prefix)
		}
	}
	return key, rankPattern, best >= 0
}

// tiers sorts the candidates: by what they declare, then by priority; those
// of weight 0 come after all others in the same order.
func tiers(found []candidate) []tier {
	rank := func(c candidate) [3]int {
		reserve := 0
		if c.weight == 0 {
			reserve = 1
		}
		return [3]int{reserve, c.rank, c.priority}
	}
	order := func(a, b candidate) int {
		x, y := rank(a), rank(b)
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]))
	}
	slices.SortStableFunc(found, order)
	var all []tier
	for len(found) > 0 {
		n := 1
		for n < len(found) && order(found[0], found[n]) == 0 {
			n++
		}
		all = append(all, newTier(len(all), found[:n]))
		found = found[n:]
	}
	return all
}

func newTier(rank int, found []candidate) tier {
	var t tier
	weights := make([]int, 0, len(found))
	for _, c := range found {
		c.target.Tier = rank
		t.targets = append(t.targets, c.target)
		weights = append(weights, c.weight)
	}
	t.choice = balance.NewAlias(weights)
	return t
}

// settings lays what the provider declares over the process's defaults.
func (b *Builder) settings(c *config.Provider) upstream.Settings {
	s := b.Client
	s.Name, s.APIBase, s.APIKey = c.Key, c.APIBase, c.APIKey.Reveal()
	overlay(&s.Timeouts.Connect, c.Params.ConnectTimeoutMS)
	overlay(&s.Timeouts.Write, c.Params.WriteTimeoutMS)
	overlay(&s.Timeouts.FirstByte, c.Params.FirstByteTimeoutMS)
	overlay(&s.Timeouts.FirstEvent, c.Params.FirstEventTimeoutMS)
	overlay(&s.Timeouts.Idle, c.Params.IdleTimeoutMS)
	overlay(&s.Timeouts.Total, c.Params.TotalTimeoutMS)
	overlay(&s.Timeouts.StreamTotal, c.Params.TotalTimeoutMS)
	if c.Params.MaxConcurrency != nil {
		s.MaxConcurrency = *c.Params.MaxConcurrency
	}
	return s
}

func overlay(timeout *time.Duration, declared *int64) {
	if declared != nil {
		*timeout = time.Duration(*declared) * time.Millisecond
	}
}
