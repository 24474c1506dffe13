package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"llmproxy/config"
	"llmproxy/demo"
	"llmproxy/route"
)

// demoKey is the provider_key of the built-in provider.
const demoKey = "demo"

// demoSource is a store whose configuration has the demo provider as long as
// it has no provider of its own.
type demoSource struct {
	route.Source
	demo *demoProvider
}

// Load implements route.Source.
func (s demoSource) Load(ctx context.Context) (*config.Set, error) {
	set, err := s.Source.Load(ctx)
	if err != nil || len(set.Providers) > 0 {
		return set, err
	}
	p, err := s.demo.provider()
	if err != nil {
		return nil, err
	}
	set.Providers = []config.Provider{p}
	return set, nil
}

// demoProvider runs the built-in provider on a loopback port, from the first
// time that it is needed.
type demoProvider struct {
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	server   *demo.Server
	address  string
	bornAt   time.Time
	finished chan struct{}
}

// provider starts the demo provider, if it does not run, and describes it.
func (d *demoProvider) provider() (config.Provider, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return config.Provider{}, err
		}
		d.server, d.address, d.bornAt = demo.New(demo.Options{Gap: demo.Pace}), ln.Addr().String(), time.Now()
		d.finished = make(chan struct{})
		go d.serve(d.server, ln)
	}
	return config.Provider{
		Key: demoKey, Type: "openai", APIBase: "http://" + d.address + "/v1",
		ModelMapping: map[string]string{demo.Model: demo.Model}, Weight: 1, Enabled: true,
		CreatedAt: d.bornAt, UpdatedAt: d.bornAt,
	}, nil
}

func (d *demoProvider) serve(s *demo.Server, ln net.Listener) {
	defer close(d.finished)
	if err := s.Serve(ln); err != nil {
		d.log.Error("demo provider ended", "error", err)
	}
}

// close stops the demo provider.
func (d *demoProvider) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.server.Shutdown(ctx)
	<-d.finished
	d.server = nil
}
