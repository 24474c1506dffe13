package metrics

import (
	"bytes"
	"cmp"
	"io"
	"slices"

	"github.com/VictoriaMetrics/metrics"
)

// WriteTo prints every metric in Prometheus' text format, version 0.0.4.
//
// The page is made piece by piece, each when the one before it has been taken:
// a page of any length costs little memory, and w may rest between two Writes
// to let others have the processor. No lock is held during a Write.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	var library bytes.Buffer
	r.set.WritePrometheus(&library)
	metrics.WriteProcessMetrics(&library)
	metrics.WriteFDMetrics(&library)

	s, p := r.gather(), newPage(w)
	s.write(&p, r)
	p.appendLibrary(library.Bytes())
	p.flush()
	if p.err == nil {
		r.mu.Lock()
		r.dropLocked(func(e *entry) bool { return e.fate == shown })
		r.mu.Unlock()
	}
	return p.written, p.err
}

// snapshot is everything that comes and goes, as it was at one moment. The
// counts in it go on counting: a line, or a histogram, shows them as they are
// when it is printed. Lists are put in the order of their labels just before
// they are printed, for that takes some milliseconds when all are long.
type snapshot struct {
	requests  []*Requests
	tokens    []*tokenCounts
	models    []*Model
	providers []*Provider
	present   []*Provider // the providers that are configured
	keyLimits []*KeyLimits
	active    []gauge
}

type gauge struct {
	entry
	value int64
}

func (r *Registry) gather() snapshot {
	var s snapshot
	r.mu.Lock()
	s.requests = r.requests.all()
	showAll(s.requests)
	s.tokens = values(r.tokens)
	s.models = values(r.models)
	for _, p := range r.providers {
		if p.fate == live {
			s.present = append(s.present, p)
		}
	}
	s.providers = values(r.providers)
	s.keyLimits = values(r.keyLimits)
	for endpoint, n := range r.active {
		s.active = append(s.active, gauge{entry{labels: r.labels.render("endpoint", endpoint)}, n.Load()})
	}
	r.mu.Unlock()
	return s
}

func values[K comparable, V interface{ head() *entry }](m map[K]V) []V {
	all := make([]V, 0, len(m))
	for _, v := range m {
		all = append(all, v)
	}
	showAll(all)
	return all
}

func showAll[V interface{ head() *entry }](all []V) {
	for _, v := range all {
		if e := v.head(); e.fate == leaving {
			e.fate = shown
		}
	}
}

func sortByLabels[V interface{ head() *entry }](all []V) {
	slices.SortFunc(all, func(a, b V) int { return cmp.Compare(a.head().labels, b.head().labels) })
}

// write prints the families one after the other, each in one place.
func (s *snapshot) write(p *page, r *Registry) {
	s.writeRequests(p)
	s.writeProviders(p)
	s.writeModels(p)
	for phase := range phases {
		p.histogram("llm_proxy_overhead_seconds", `phase="`+phase.String()+`"`, &r.overhead[phase].histogram)
	}
	s.writeKeyLimits(p)
}

func (s *snapshot) writeRequests(p *page) {
	sortByLabels(s.requests)
	for _, q := range s.requests {
		for _, c := range *q.statuses.Load() {
			p.sample("llm_proxy_requests_total", q.labels, "status_code", c.text(), int64(c.n.Get()))
		}
	}
	for _, q := range s.requests {
		p.histogram("llm_proxy_request_duration_seconds", q.labels, &q.duration.histogram)
	}
	slices.SortFunc(s.active, func(a, b gauge) int { return cmp.Compare(a.labels, b.labels) })
	for _, g := range s.active {
		p.sample("llm_proxy_active_requests", g.labels, "", "", g.value)
	}
	sortByLabels(s.tokens)
	for _, t := range s.tokens {
		for i := range t.n {
			p.sample("llm_proxy_tokens_total", t.labels, "token_type", tokenTypes[i], int64(t.n[i].Get()))
		}
	}
	for _, t := range s.tokens {
		p.float("llm_proxy_cost_usd_total", t.labels, usd(int64(t.cost.Get())))
	}
	for _, t := range s.tokens {
		p.sample("llm_proxy_unpriced_requests_total", t.labels, "", "", int64(t.unpriced.Get()))
	}
}

func (s *snapshot) writeProviders(p *page) {
	sortByLabels(s.present)
	sortByLabels(s.providers)
	for _, v := range s.present {
		healthy := int64(1)
		if v.unhealthy.Load() {
			healthy = 0
		}
		p.sample("llm_proxy_provider_health", v.labels, "", "", healthy)
	}
	for _, v := range s.providers {
		p.histogram("llm_proxy_provider_latency_seconds", v.labels, &v.Latency.histogram)
	}
	for _, v := range s.providers {
		for i, n := range v.retries {
			p.sample("llm_proxy_retries_total", v.labels, "reason", retryReasons[i], int64(n.Get()))
		}
	}
	for _, v := range s.providers {
		p.sample("llm_proxy_streams_truncated_total", v.labels, "", "", int64(v.Truncated.Get()))
	}
	for _, v := range s.providers {
		p.sample("llm_proxy_bad_events_total", v.labels, "", "", int64(v.BadEvents.Get()))
	}
	for _, v := range s.present {
		if read := v.connections.Load(); read != nil {
			c := (*read)()
			p.sample("llm_proxy_upstream_connections", v.labels, "state", "active", c.Active)
			p.sample("llm_proxy_upstream_connections", v.labels, "state", "idle", c.Idle)
		}
	}
}

func (s *snapshot) writeModels(p *page) {
	sortByLabels(s.models)
	for _, m := range s.models {
		p.histogram("llm_proxy_ttft_seconds", m.labels, &m.TTFT.histogram)
	}
	for _, m := range s.models {
		p.histogram("llm_proxy_tokens_per_second", m.labels, &m.TokensPerSecond.histogram)
	}
	circuits := make([]Circuit, len(s.models))
	for i, m := range s.models {
		if read := m.circuit.Load(); read != nil {
			circuits[i] = (*read)()
		}
		p.sample("llm_proxy_provider_circuit_state", m.labels, "", "", circuits[i].State)
	}
	for i, m := range s.models {
		p.sample("llm_proxy_provider_ejections_total", m.labels, "", "", circuits[i].Ejections)
	}
}
