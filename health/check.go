package health

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/goccy/go-json"
)

// Subject is a provider that can be asked.
type Subject struct {
	ID      int64
	Key     string
	Enabled bool
	Circuit string // of its models' circuit breakers the worst
	Models  []Named
	// Probe makes the smallest real call for a model by the provider's own name.
	Probe func(ctx context.Context, model string, timeout time.Duration) (time.Duration, error)
}

// Named is a model by its public name and by the provider's own, and the state
// of its circuit breaker.
type Named struct{ Public, Own, Circuit string }

// Query says what to check; its zero value checks everything.
type Query struct {
	ProviderIDs   []int64       // none: all
	Models        []string      // public names; none: all declared ones
	Timeout       time.Duration // of one call; 0: DefaultTimeout
	MaxConcurrent int           // calls at once; 0: DefaultConcurrent
}

// The bounds of a check.
const (
	DefaultTimeout    = 10 * time.Second
	DefaultConcurrent = 16
	DefaultModels     = 10
	kept              = 10 * time.Second
)

// Checker asks the providers of the configuration that serves.
type Checker struct {
	subjects func() []Subject
	limits   Limits

	mu     sync.Mutex // guards what follows; held while Detailed checks, so that many askers cost one check
	last   []byte
	lastAt time.Time
}

// Limits bound what a check costs.
type Limits struct {
	// Models of each provider are tested when the query names none, the first of
	// those that it has: each test costs tokens. 0: DefaultModels.
	Models int
	// AtModels is called for each provider that has more; nil is not.
	AtModels func()
}

// NewChecker returns a Checker. subjects lists the providers as they are now.
func NewChecker(subjects func() []Subject, limits Limits) *Checker {
	limits.Models = orDefault(limits.Models, DefaultModels)
	return &Checker{subjects: subjects, limits: limits}
}

// Detailed returns the report on all providers as JSON. It is kept for 10
// seconds: whoever may ask for it may ask often.
func (c *Checker) Detailed(ctx context.Context) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || time.Since(c.lastAt) > kept {
		c.last, _ = json.Marshal(c.Check(ctx, Query{}))
		c.lastAt = time.Now()
	}
	return c.last
}

// Check asks what the query names, and returns when everything has answered or
// had its time.
func (c *Checker) Check(ctx context.Context, q Query) *Report {
	var (
		at      = time.Now().UTC()
		room    = make(chan struct{}, orDefault(q.MaxConcurrent, DefaultConcurrent))
		timeout = orDefault(q.Timeout, DefaultTimeout)
		asking  sync.WaitGroup
	)
	subjects := c.subjects()
	if len(q.ProviderIDs) > 0 {
		subjects = slices.DeleteFunc(subjects, func(s Subject) bool { return !slices.Contains(q.ProviderIDs, s.ID) })
	}
	providers := make([]Provider, len(subjects))
	for i := range subjects {
		s, p := &subjects[i], &providers[i]
		*p = c.begin(s, q.Models, at)
		for j := range p.Models {
			asking.Go(func() { s.ask(ctx, &p.Models[j], room, timeout) })
		}
	}
	asking.Wait()
	for i := range providers {
		providers[i].summarize()
	}
	return NewReport(providers, at)
}

// begin returns the provider's part of the report with the models to ask for,
// all unknown yet. A disabled provider has none.
func (c *Checker) begin(s *Subject, wanted []string, at time.Time) Provider {
	p := Provider{ID: s.ID, Key: s.Key, Status: Unknown, Circuit: s.Circuit, Models: []Model{}, CheckedAt: at}
	if !s.Enabled {
		p.Status = Disabled
		return p
	}
	for _, m := range s.Models {
		if len(wanted) > 0 && !slices.Contains(wanted, m.Public) {
			continue
		}
		if len(wanted) == 0 && len(p.Models) == c.limits.Models {
			c.limits.passed()
			break
		}
		p.Models = append(p.Models, Model{Model: m.Public, Status: Unknown, Circuit: m.Circuit})
	}
	return p
}

func (l *Limits) passed() {
	if l.AtModels != nil {
		l.AtModels()
	}
}

// ask makes the call for one model, when there is room.
func (s *Subject) ask(ctx context.Context, m *Model, room chan struct{}, timeout time.Duration) {
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	case <-ctx.Done():
		return
	}
	took, err := s.Probe(ctx, s.own(m.Model), timeout)
	ms := float64(took.Microseconds()) / 1000
	m.ResponseTime, m.Status = &ms, Healthy
	if err != nil {
		text := err.Error()
		m.Error, m.Status = &text, Unhealthy
	}
}

func (s *Subject) own(public string) string {
	for _, m := range s.Models {
		if m.Public == public {
			return m.Own
		}
	}
	return public
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}
