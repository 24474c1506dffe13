package health

import (
	"context"
	"sync"
	"time"
)

// Watched is a provider that is to be asked at intervals.
type Watched struct {
	Key      string
	Interval time.Duration
	Probe    func(ctx context.Context) error // one call; it returns when ctx ends
	Report   func(err error)                 // what is to follow from its result
}

// Monitor asks providers in the background, each at its own interval, and each
// by one call at a time: a call ends within the interval.
type Monitor struct {
	watched func() []Watched // those that want it now

	mu   sync.Mutex           // guards next
	next map[string]time.Time // by key: when it is due
	busy sync.WaitGroup
}

// NewMonitor returns a Monitor of the providers that watched lists.
func NewMonitor(watched func() []Watched) *Monitor {
	return &Monitor{watched: watched, next: map[string]time.Time{}}
}

// Run asks until ctx ends, and returns when the last call has ended. tick is
// how often it looks who is due.
func (m *Monitor) Run(ctx context.Context, tick time.Duration) {
	defer m.busy.Wait()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-ticker.C:
			m.askDue(ctx, at)
		}
	}
}

// askDue starts a call to everybody whose turn it is. Who is new waits for an
// interval, so that a restart of many gateways is no flood.
func (m *Monitor) askDue(ctx context.Context, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.next
	m.next = make(map[string]time.Time, len(known))
	for _, w := range m.watched() {
		due, ok := known[w.Key]
		switch {
		case !ok:
			m.next[w.Key] = at.Add(w.Interval)
		case at.Before(due):
			m.next[w.Key] = due
		default:
			m.next[w.Key] = at.Add(w.Interval)
			m.busy.Go(func() { w.ask(ctx) })
		}
	}
}

// ask makes the call within the interval, so that calls do not pile up.
func (w *Watched) ask(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, min(w.Interval, DefaultTimeout))
	defer cancel()
	if err := w.Probe(within); ctx.Err() == nil {
		w.Report(err)
	}
}
