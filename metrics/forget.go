package metrics

// Live is what the configuration still names. None, Other and Anonymous are
// always live.
type Live struct{ Models, Providers, APIKeys map[Label]bool }

// entry is what every series that may go away again has.
type entry struct {
	labels string // as printed; never changes
	fate   fate   // guarded by Registry.mu
}

func (e *entry) head() *entry { return e }

type fate uint8

const (
	live    fate = iota
	leaving      // no longer configured; its last counts are yet to be shown
	shown        // by a scrape that is being written: dropped when that is done
)

// Forget lets go of the series of models, providers and keys that are no longer
// configured: call it after a new table serves, with all that the table names.
//
// A provider's health and connections vanish at once. The other series are
// shown by one more scrape, so that their last counts are not lost, and then
// dropped; if there is no scrape, the next Forget drops them.
func (r *Registry) Forget(l Live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(func(e *entry) bool { return e.fate != live })

	judge := func(e *entry, model, provider, apiKey Label) {
		e.fate = live
		if !names(l.Models, model) || !names(l.Providers, provider) || !names(l.APIKeys, apiKey) {
			e.fate = leaving
		}
	}
	for _, q := range r.requests.all() {
		judge(&q.entry, q.key.Model, q.key.Provider, q.key.APIKey)
	}
	for k, t := range r.tokens {
		judge(&t.entry, k.Model, k.Provider, k.APIKey)
	}
	for k, m := range r.models {
		judge(&m.entry, k.Model, k.Provider, None)
	}
	for name, p := range r.providers {
		judge(&p.entry, None, name, None)
	}
	for name, n := range r.keyLimits {
		judge(&n.entry, None, None, name)
	}
}

func names(m map[Label]bool, l Label) bool { return l < reserved || m[l] }

// dropLocked forgets the entries that drop picks, and counts the series that
// are left.
func (r *Registry) dropLocked(drop func(*entry) bool) {
	r.requests.removeLocked(func(q *Requests) bool {
		return r.droppedLocked(drop, &q.entry, requestBuckets.lines()+int64(len(*q.statuses.Load())))
	})
	for k, t := range r.tokens {
		if r.droppedLocked(drop, &t.entry, tokenLines) {
			delete(r.tokens, k)
		}
	}
	for k, m := range r.models {
		if r.droppedLocked(drop, &m.entry, modelLines) {
			delete(r.models, k)
		}
	}
	for name, p := range r.providers {
		if r.droppedLocked(drop, &p.entry, providerLines) {
			delete(r.providers, name)
		}
	}
	for name, n := range r.keyLimits {
		if r.droppedLocked(drop, &n.entry, n.lines()) {
			delete(r.keyLimits, name)
		}
	}
}

func (r *Registry) droppedLocked(drop func(*entry) bool, e *entry, lines int64) bool {
	if !drop(e) {
		return false
	}
	r.series.Add(-lines)
	return true
}
