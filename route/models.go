package route

import (
	"maps"
	"slices"
)

// models finds the Route of a model name: exact names first, then the longest
// pattern that matches, then whatever serves every model.
type models struct {
	exact  map[string]*Route
	prefix map[string]*Route // patterns without their '*'
	any    *Route

	names   []string // of exact, sorted
	lengths []int    // of the patterns, each once, longest first
}

func newModels() models {
	return models{exact: map[string]*Route{}, prefix: map[string]*Route{}}
}

// index sorts what find needs sorted, once everything is in the maps.
func (m *models) index() {
	m.names, m.lengths = nil, nil
	for name := range m.exact {
		m.names = append(m.names, name)
	}
	slices.Sort(m.names)
	for prefix := range m.prefix {
		m.lengths = append(m.lengths, len(prefix))
	}
	slices.Sort(m.lengths)
	m.lengths = slices.Compact(m.lengths)
	slices.Reverse(m.lengths)
}

func (m *models) find(name []byte) *Route {
	if r := m.exact[string(name)]; r != nil {
		return r
	}
	if r := m.findPrefix(name); r != nil {
		return r
	}
	return m.any
}

func (m *models) findPrefix(name []byte) *Route {
	for _, n := range m.lengths {
		if n <= len(name) {
			if r := m.prefix[string(name[:n])]; r != nil {
				return r
			}
		}
	}
	return nil
}

// all lists every Route there is.
func (m *models) all() []*Route {
	routes := slices.AppendSeq(slices.Collect(maps.Values(m.exact)), maps.Values(m.prefix))
	if m.any != nil {
		routes = append(routes, m.any)
	}
	return routes
}
