package route

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"llmproxy/config"
)

// Source is where the configuration comes from: the store, in production.
type Source interface {
	// Load returns one consistent version. The caller owns the Set.
	Load(ctx context.Context) (*config.Set, error)
	// Version returns the number of the newest version, and when it was made.
	Version(ctx context.Context) (int64, time.Time, error)
}

// Live holds the Table that serves. Reading it is one atomic load; a reload
// builds the next Table beside it and swaps the pointer.
type Live struct {
	table atomic.Pointer[Table]

	// reloading is a lock, held by Reload and Apply while there is something in
	// it; readers never take it. Who waits for it may give up: a reload can
	// hang on the database for longer than an administrator is to wait.
	reloading chan struct{}
	builder   *Builder
	source    Source
	applied   func(*config.Set) // called after each swap, with reloading held; may be nil
}

// NewLive returns a Live that serves an empty Table until the first Reload or
// Apply. applied, if not nil, learns of every configuration that came to
// serve, in order; it must be quick and must not reload.
func NewLive(b *Builder, source Source, applied func(*config.Set)) *Live {
	l := &Live{builder: b, source: source, applied: applied, reloading: make(chan struct{}, 1)}
	l.table.Store(&Table{models: newModels()})
	return l
}

// Table returns the Table that serves now. It is never nil.
func (l *Live) Table() *Table { return l.table.Load() }

// lock waits until no reload is under way, or until ctx ends.
func (l *Live) lock(ctx context.Context) error {
	select {
	case l.reloading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another reload is under way: %w", ctx.Err())
	}
}

func (l *Live) unlock() { <-l.reloading }

// Reload loads the newest configuration and serves it. If it cannot be loaded
// or does not validate, the old one keeps serving and the error says why.
// Loading begins after Reload was called, so a change that was committed
// before the call is in the Table it returns.
func (l *Live) Reload(ctx context.Context) (*Table, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	defer l.unlock()
	return l.reloadLocked(ctx)
}

// Refresh reloads if the source has another version than the one that serves.
func (l *Live) Refresh(ctx context.Context) (*Table, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	defer l.unlock()
	if t := l.Table(); !t.Empty() {
		version, _, err := l.source.Version(ctx)
		if err != nil {
			return nil, err
		}
		if version == t.Version {
			return t, nil
		}
	}
	return l.reloadLocked(ctx)
}

// Apply serves a Set that did not come from the source: the last good one,
// kept on disk, while the source is away.
func (l *Live) Apply(set *config.Set) (*Table, error) {
	l.reloading <- struct{}{}
	defer l.unlock()
	return l.swapLocked(set)
}

func (l *Live) reloadLocked(ctx context.Context) (*Table, error) {
	set, err := l.source.Load(ctx)
	if err != nil {
		l.builder.Metrics.ConfigReloads("error")
		return nil, err
	}
	return l.swapLocked(set)
}

func (l *Live) swapLocked(set *config.Set) (*Table, error) {
	old := l.Table()
	t, err := l.builder.Build(set, old)
	if err != nil {
		l.builder.Metrics.ConfigReloads("invalid")
		return nil, err
	}
	l.builder.Metrics.ConfigReloads("success")
	l.table.Store(t)
	l.builder.Metrics.ConfigVersion.Store(t.Version)
	l.retire(old, t)
	if l.applied != nil {
		l.applied(set)
	}
	return t, nil
}

// retire ends what the old Table had and the new one does not. Requests that
// run on the old Table keep their connections: a closed client only stops
// keeping idle ones.
func (l *Live) retire(old, t *Table) {
	closeClients(old, t)
	known := make(map[int64]bool, len(t.set.Credentials))
	for i := range t.set.Credentials {
		known[t.set.Credentials[i].ID] = true
	}
	l.builder.Buckets.Keep(func(id int64) bool { return known[id] })
	if l.builder.Purses != nil {
		l.builder.Purses.Keep(func(id int64) bool { return known[id] })
	}
	l.builder.Metrics.Forget(t.labels())
}

// Close closes the idle connections of the Table that serves, at the end of
// the process's work. Requests that still run end as they would.
func (l *Live) Close() {
	l.reloading <- struct{}{}
	defer l.unlock()
	closeClients(l.Table(), nil)
}
