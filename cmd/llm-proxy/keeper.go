package main

import (
	"log/slog"
	"time"

	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/store"
)

const (
	// keeperCloseTime is how long the end of the process waits for the disk.
	keeperCloseTime = 2 * time.Second
	// keeperRetry is how long after a failure the disk is tried again: it may
	// have been full, and the next change of the configuration be months away.
	keeperRetry = 2 * time.Second
)

// keeper keeps the configuration that serves on disk, for a start without the
// database. It writes on a goroutine of its own, until close: a slow disk must
// not hold up the next configuration, nor an administrator who waits for it.
//
// A nil keeper keeps nothing.
type keeper struct {
	snapshot *store.Snapshot
	metrics  *metrics.Registry
	log      *slog.Logger
	loaded   *config.Set      // what came from the disk itself
	newest   chan *config.Set // has room for one: only the newest is worth writing
	quit     chan struct{}
	done     chan struct{}
}

func newKeeper(snapshot *store.Snapshot, m *metrics.Registry, log *slog.Logger) *keeper {
	k := &keeper{
		snapshot: snapshot, metrics: m, log: log,
		newest: make(chan *config.Set, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go k.run()
	return k
}

// load returns the configuration that was kept last, and when that was.
func (k *keeper) load() (set *config.Set, at time.Time, err error) {
	k.loaded, at, err = k.snapshot.Load()
	return k.loaded, at, err
}

// keep takes a configuration that came to serve. Calls come one after the
// other, and the Set changes no more.
func (k *keeper) keep(set *config.Set) {
	if k == nil || set == k.loaded {
		return
	}
	select {
	case <-k.newest: // an older one that has not been written yet
	default:
	}
	k.newest <- set
}

func (k *keeper) run() {
	defer close(k.done)
	var unsaved *config.Set // what the disk did not take
	for {
		var again <-chan time.Time // nil: never
		if unsaved != nil {
			again = time.After(keeperRetry)
		}
		select {
		case set := <-k.newest:
			unsaved = k.save(set, unsaved != nil)
		case <-again:
			unsaved = k.save(unsaved, true)
		case <-k.quit:
			failing := unsaved != nil
			select {
			case unsaved = <-k.newest:
			default:
			}
			if unsaved != nil {
				k.save(unsaved, failing)
			}
			return
		}
	}
}

// save writes a configuration. It returns the same one if it must be tried
// again. Only the first of several failures is logged.
func (k *keeper) save(set *config.Set, failing bool) (unsaved *config.Set) {
	err := k.snapshot.Save(set)
	switch {
	case err != nil:
		k.metrics.SnapshotErrors.Inc()
		if !failing {
			k.log.Error("snapshot not written", "error", err)
		}
		return set
	case failing:
		k.log.Info("snapshot written again", "version", set.Version)
	}
	return nil
}

// close writes what waits, if the disk is quick enough.
func (k *keeper) close() {
	close(k.quit)
	select {
	case <-k.done:
	case <-time.After(keeperCloseTime):
		k.log.Warn("snapshot not written in time")
	}
}
