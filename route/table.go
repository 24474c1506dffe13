package route

import (
	"crypto/sha256"

	"llmproxy/config"
	"llmproxy/metrics"
)

// Table is one version of the configuration, ready to serve. It is immutable:
// a request that loaded it may use it and all it points to until its end.
type Table struct {
	Version   int64
	Providers []*Provider // enabled or not, in the order of the Set

	set       *config.Set
	callers   map[[sha256.Size]byte]*Caller
	anonymous *Caller // serves requests when no credential is configured; nil refuses them
	models    models
	cut       string // "Proxy/", cut from the front of asked names; empty cuts nothing
}

// Set returns the configuration that the Table was built from. Nobody may change it.
func (t *Table) Set() *config.Set { return t.set }

// Empty reports whether no configuration has arrived yet.
func (t *Table) Empty() bool { return t.set == nil }

// Caller returns who holds the key; nil if nobody does. An empty key is the
// anonymous caller's, if the process lets one in.
//
// The key is hashed first and found by its hash, so that the time this takes
// tells nothing about the keys that exist.
func (t *Table) Caller(key []byte) *Caller {
	if t.anonymous != nil {
		return t.anonymous
	}
	if len(key) == 0 {
		return nil
	}
	return t.callers[sha256.Sum256(key)]
}

// Open reports whether whoever asks is served, without a key.
func (t *Table) Open() bool { return t.anonymous != nil }

// Public returns the name that is looked up for the asked one: without the
// prefix that the process cuts (PROVIDER_SUFFIX). It is a view of asked.
func (t *Table) Public(asked []byte) []byte {
	n := len(t.cut)
	if n > 0 && len(asked) > n && string(asked[:n]) == t.cut {
		return asked[n:]
	}
	return asked
}

// Route returns the way to a model by its public name; nil if nobody serves it.
func (t *Table) Route(public []byte) *Route { return t.models.find(public) }

// Any returns the way for requests that name no model: the providers that
// serve every model. It is nil if there are none.
func (t *Table) Any() *Route { return t.models.any }

// Models calls yield for every public model name that is declared in full, in
// sorted order, until yield returns false. Patterns have no names to list.
func (t *Table) Models(yield func(name string, route *Route) bool) {
	for _, name := range t.models.names {
		if !yield(name, t.models.exact[name]) {
			return
		}
	}
}

// TargetsOf calls yield for every target of the provider, until yield returns
// false. Those that share a breaker are given each.
func (t *Table) TargetsOf(p *Provider, yield func(*Target) bool) {
	for _, r := range t.models.all() {
		for target := range r.Targets {
			if target.Provider == p && !yield(target) {
				return
			}
		}
	}
}

// labels collects every label value that the configuration names.
func (t *Table) labels() metrics.Live {
	named := metrics.Live{
		Models: map[metrics.Label]bool{}, Providers: map[metrics.Label]bool{}, APIKeys: map[metrics.Label]bool{},
	}
	for _, p := range t.Providers {
		named.Providers[p.Label] = true
	}
	for _, c := range t.callers {
		named.APIKeys[c.Label] = true
	}
	for _, r := range t.models.all() {
		named.Models[r.Model] = true
	}
	return named
}
