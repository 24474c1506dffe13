package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"llmproxy/config"
)

// follow serves every change of the store until ctx ends.
//
// The store tells of a change once. If it cannot be loaded then, because the
// database went away in between or somebody holds a lock, it is tried again
// until it can.
func (g *gateway) follow(ctx context.Context) {
	changed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		g.store.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default: // one that waits stands for all before it
			}
		})
	})

	var last error
	for {
		var again <-chan time.Time // nil: never
		if last != nil {
			again = time.After(g.o.ConfigPoll)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
		last = g.refresh(ctx, last)
	}
}

// refresh brings what the store has now to serve. It returns why it is to be
// tried again; last is why this time.
func (g *gateway) refresh(ctx context.Context, last error) error {
	before := g.live.Table()
	err := g.migrateOnce(ctx)
	t := before
	if err == nil {
		t, err = g.live.Refresh(ctx)
	}
	var problems config.Problems
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &problems):
		g.log.Error("configuration refused: the old one keeps serving", "error", err, "version", before.Version)
		return nil // the change that mends it is told of
	case err != nil:
		if last == nil || last.Error() != err.Error() {
			g.log.Error("configuration not reloaded: the old one keeps serving", "error", err, "version", before.Version)
		}
		return err
	case t != before:
		g.log.Info("configuration reloaded", "version", t.Version)
	case last != nil || g.outage != nil:
		g.log.Info("configuration is up to date again", "version", t.Version)
	}
	g.outage = nil
	return nil
}

// migrateOnce brings the database to this binary's schema, the first time that
// it can be reached.
func (g *gateway) migrateOnce(ctx context.Context) error {
	if g.migrated.Load() {
		return nil
	}
	err := g.store.Migrate(ctx)
	g.migrated.Store(err == nil)
	return err
}
