package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"llmproxy/config"
	"llmproxy/health"
	"llmproxy/store"
)

const (
	// startTimeout is how long a start waits for the database before it goes on
	// with the last good configuration.
	startTimeout = 2 * time.Second
	// embeddedTimeout is how long it waits for the disk of the embedded store:
	// there is nothing to go on with.
	embeddedTimeout = 30 * time.Second
)

// serve runs the gateway until ctx ends, then drains it.
func serve(ctx context.Context, o *config.Options, again reread, out, errOut io.Writer) error {
	log := openLog(o, errOut)
	defer log.Close()
	hangups, give := takeHangups()
	defer give()
	g, err := newGateway(o, log.Logger)
	if err != nil {
		return err
	}
	defer g.close()
	g.heedLog(log)
	doors, err := g.listen()
	if err != nil {
		return err
	}
	defer doors.close()
	made, err := g.start(ctx)
	if err != nil {
		return err
	}
	g.wireHandlers()

	served := doors.serve(g.server)
	g.announce(out, doors, made)

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	following.Go(func() { g.follow(background) })
	following.Go(func() { heedHangups(background, hangups, log, again) })
	if g.budgets != nil {
		following.Go(func() { g.budgets.run(background) })
	}
	following.Go(func() { health.NewMonitor(g.watched).Run(background, time.Second) })
	defer func() { stop(); following.Wait() }()

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return g.drain(doors, served)
	}
}

// start brings a first configuration to serve: the store's, else the last good
// one from disk. A database that is away is no reason not to start; one that
// this binary can never work with is.
func (g *gateway) start(ctx context.Context) (firstStart, error) {
	if g.embedded() {
		return g.startEmbedded(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := g.migrateOnce(ctx)
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		return firstStart{}, err
	}
	if err == nil {
		_, err = g.live.Reload(ctx)
	}
	if err != nil {
		g.startFromSnapshot(err)
	}
	return firstStart{}, nil
}

// startFromSnapshot serves the last good configuration; without one the
// gateway waits for the database, not ready.
func (g *gateway) startFromSnapshot(cause error) {
	set, at, err := g.keeper.load()
	g.outage, g.savedAt = cause, at
	if err == nil {
		_, err = g.live.Apply(set)
	}
	if err != nil {
		g.log.Error("no configuration: waiting for the database", "database", cause, "snapshot", err)
		return
	}
	g.log.Warn("configuration not loaded: serving the last good one", "database", cause,
		"version", set.Version, "saved_at", at)
}

// drain stops serving: for DRAIN_DELAY_SECS only not ready, so that load
// balancers may notice, then requests in flight end, for SHUTDOWN_GRACE_SECS.
func (g *gateway) drain(doors *listeners, served <-chan error) error {
	g.log.Info("draining", "delay", g.o.DrainDelay.String(), "grace", g.o.ShutdownGrace.String())
	if g.o.DrainDelay > 0 {
		g.server.Leave()
		<-time.After(g.o.DrainDelay) // a second signal ends the process
	}
	doors.close() // here too: the server may not have come to serve them yet
	g.endProfiles()
	g.graceEnds = time.Now().Add(g.o.ShutdownGrace)
	ctx, cancel := context.WithDeadline(context.Background(), g.graceEnds)
	defer cancel()
	if err := g.server.Shutdown(ctx); err != nil {
		g.log.Warn("connections left open", "error", err)
	}
	for range doors.count() {
		<-served
	}
	g.log.Info("stopped")
	return nil
}
