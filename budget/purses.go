package budget

import "sync"

// Purses holds the purses of all client keys, by the id of the credential. It
// is asked when a routing table is built and when the ledger has been read; no
// request comes here.
type Purses struct {
	mu     sync.Mutex // guards purses
	purses map[int64]*Purse
}

// NewPurses makes an empty Purses.
func NewPurses() *Purses { return &Purses{purses: map[int64]*Purse{}} }

// Get returns the purse of a credential: always the same one, whose terms are
// changed for all who hold it. name tells periods apart.
func (m *Purses) Get(id, limit int64, name string, period Period) *Purse {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.purses[id]
	if p == nil {
		p = new(Purse)
		m.purses[id] = p
	}
	p.setTerms(&terms{max(limit, 0), name, period})
	return p
}

// Find returns the purse of a credential; nil if it has none.
func (m *Purses) Find(id int64) *Purse {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.purses[id]
}

// Keep forgets the purses of the credentials that keep does not name. Tables
// that still have them may go on using them.
func (m *Purses) Keep(keep func(id int64) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.purses {
		if !keep(id) {
			delete(m.purses, id)
		}
	}
}

// Each calls f for every purse, on a copy of the list.
func (m *Purses) Each(f func(id int64, p *Purse)) {
	m.mu.Lock()
	all := make(map[int64]*Purse, len(m.purses))
	for id, p := range m.purses {
		all[id] = p
	}
	m.mu.Unlock()
	for id, p := range all {
		f(id, p)
	}
}
