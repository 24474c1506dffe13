package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"llmproxy/admin"
	"llmproxy/breaker"
	"llmproxy/budget"
	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/health"
	"llmproxy/logging"
	"llmproxy/metrics"
	"llmproxy/overload"
	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/store"
	"llmproxy/tokens"
	"llmproxy/tracing"
	"llmproxy/upstream"
	"llmproxy/usage"
	"llmproxy/web"
)

// gateway is a process that serves, wired: every part knows only what it is
// given here.
type gateway struct {
	o        *config.Options
	log      *slog.Logger
	logLevel *logging.Level
	store    store.Store
	metrics  *metrics.Registry
	live     *route.Live
	pool     *tokens.Pool
	watcher  *downstream.Watcher
	limiter  *overload.Limiter
	demo     *demoProvider // nil with a database of one's own
	keeper   *keeper       // nil with the embedded store
	adminKey adminKey
	outage   error       // why the store could not be used at the start; nil: it could
	savedAt  time.Time   // of the configuration that serves instead, if there is one
	migrated atomic.Bool // the database has this binary's schema
	server   *server.Server
	sink     usage.Sink
	ledger   *usage.Ledger // nil without USAGE_LEDGER
	usage    *store.Usage  // nil without USAGE_LEDGER
	purses   *budget.Purses
	budgets  *budgetKeeper   // nil without USAGE_LEDGER
	tracer   *tracing.Tracer // nil without a collector

	graceEnds time.Time // of a drain

	profilesEnd chan struct{} // closed when recordings for operators must end
}

// newGateway wires the parts. It opens files, and no network.
func newGateway(o *config.Options, log *slog.Logger) (*gateway, error) {
	g := &gateway{o: o, log: log, profilesEnd: make(chan struct{})}
	if err := g.open(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *gateway) open() (err error) {
	g.metrics = metrics.New(metrics.Options{Version: version, MaxSeries: g.o.MaxMetricSeries})
	sealer := store.NewSealer(g.o.SecretKey.Reveal())
	g.store, err = store.Open(store.Options{
		URL: g.o.DBURL.Reveal(), Dir: g.o.DataDir, Sealer: sealer, Poll: g.o.ConfigPoll, Log: g.log,
	})
	if err != nil {
		return err
	}
	if g.watcher, err = downstream.NewWatcher(); err != nil {
		return fmt.Errorf("watch for clients that leave: %w", err)
	}
	builder, err := newBuilder(g.o, g.metrics)
	if err != nil {
		return err
	}
	g.purses = budget.NewPurses()
	builder.Purses = g.purses
	source := route.Source(g.store)
	if g.embedded() {
		g.demo = &demoProvider{log: g.log}
		source = demoSource{Source: g.store, demo: g.demo}
	} else {
		g.keeper = newKeeper(store.NewSnapshot(g.o.DataDir, sealer), g.metrics, g.log)
	}
	g.live = route.NewLive(builder, source, g.keeper.keep)
	g.pool = tokens.NewPool(tokens.Options{Workers: g.o.TokenWorkers, Queue: g.o.TokenQueue})
	g.metrics.GaugeFunc("llm_proxy_token_queue_length", func() int64 { return int64(g.pool.Queued()) })
	g.limiter = newLimiter(g.o, g.metrics)
	g.adminKey.set(g.o.AdminKey.Reveal())
	return g.openTracer()
}

// embedded reports whether the configuration lives in the SQLite file.
func (g *gateway) embedded() bool { return g.o.DBURL == "" }

// wireHandlers makes the servers. It comes after start, which may make the
// admin key.
func (g *gateway) wireHandlers() {
	g.openLedger()
	checker := health.NewChecker(g.subjects, health.Limits{
		Models: g.o.MaxHealthModels, AtModels: g.metrics.LimitHits("max_health_models").Inc,
	})
	g.server = server.New(server.Options{
		MaxBodyBytes: g.o.MaxBodyBytes, MaxHeaderBytes: g.o.MaxHeaderBytes, MaxHeaderLines: g.o.MaxHeaderLines,
		MaxAnswerBytes: int(g.o.MaxAnswerBytes), MaxEventBytes: int(g.o.MaxEventBytes), MaxErrorBytes: g.o.MaxErrorBytes,
		MaxTextBytes: g.o.MaxCountedTextBytes, MaxListBytes: g.o.MaxModelListBytes, MaxLogLines: g.o.LogLines, LogShare: g.o.LogShare, SlowRequest: g.o.SlowRequest,
		Limiter: g.limiter, MaxWaiting: g.o.MaxQueuedRequests, WaitTimeout: g.o.QueueTimeout, MaxAttempts: g.o.MaxAttempts, RetryBudget: g.o.RetryBudgetPercent,
		ReadTimeout: g.o.ReadTimeout, IdleTimeout: g.o.IdleTimeout, MetricsKey: g.o.MetricsKey.Reveal(), MaxScrapes: g.o.MaxScrapes, ScrapeTime: g.o.ScrapeTimeout, Operators: g.operatorsAt(),
	}, server.Deps{
		Live: g.live, Metrics: g.metrics, Tokens: g.pool, Sink: g.sink, Watcher: g.watcher,
		Health: checker, Usage: g.usageOfKeys(), IsAdmin: g.isAdmin, Tracer: g.tracer, Log: g.log,
	})
	g.metrics.GaugeFunc("llm_proxy_queued_requests", func() int64 { return g.limiter.Stats().Queued + g.server.Waiting() })
	api := admin.New(admin.Deps{
		Store: g.store, Reload: g.reload, Prober: checker, Usage: g.usageOfAll(), Log: g.log, LogLevel: g.logLevel,
		AdminKeyHash: g.adminKey.hash, HasAdminKey: g.adminKey.isSet, WrongKey: g.metrics.WrongAdminKeys.Inc,
	})
	web.Register(g.server.Router())
	if g.server.PrivateRouter() != nil {
		web.Register(g.server.PrivateRouter())
		g.addProfiles(g.server.PrivateRouter(), api.Guard)
	}
	for _, r := range g.server.OperatorRouters() {
		api.Register(r)
	}
}

// isAdmin reports whether a key is the admin's, and counts those that are not:
// whoever guesses it is seen at this door too.
func (g *gateway) isAdmin(key []byte) bool {
	if g.adminKey.Matches(key) {
		return true
	}
	if len(key) > 0 {
		g.metrics.WrongAdminKeys.Inc()
	}
	return false
}

// reload serves the newest configuration and says what it holds.
func (g *gateway) reload(ctx context.Context) (admin.Applied, error) {
	t, err := g.live.Reload(ctx)
	if err != nil {
		return admin.Applied{}, err
	}
	set := t.Set()
	return admin.Applied{Version: t.Version, Providers: len(set.Providers), Credentials: len(set.Credentials)}, nil
}

// newBuilder resolves what all providers have in common.
func newBuilder(o *config.Options, m *metrics.Registry) (*route.Builder, error) {
	roots, err := providerRoots(o.CAFile)
	if err != nil {
		return nil, err
	}
	return &route.Builder{
		Metrics: m, Buckets: ratelimit.NewBuckets(), CutPrefix: o.ProviderSuffix, AllowAnonymous: o.AllowAnonymous,
		Breaker: breaker.Settings{
			Consecutive: o.BreakerConsecutive, RatioPercent: o.BreakerRatioPercent, MinRequests: o.BreakerMinRequests,
			Window: o.BreakerWindow, MaxRest: o.BreakerMaxRest,
		},
		Client: upstream.Settings{
			Timeouts: upstream.Timeouts{
				Connect: o.ConnectTimeout, Write: o.WriteTimeout, FirstByte: o.FirstByteTimeout,
				FirstEvent: o.FirstEventTimeout, Idle: o.StreamIdleTimeout, Total: o.RequestTimeout,
			},
			InsecureTLS: !o.VerifySSL, RootCAs: roots, AllowLinkLocal: o.AllowPrivateUpstreams,
			UserAgent: "llm-proxy/" + version, MaxIdle: o.MaxIdleConnections, Surplus: m.LimitHits("max_idle_connections"),
		},
	}, nil
}

// providerRoots returns the system's certificate authorities and those of the
// file; nil, the system's alone, without one.
func providerRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA_FILE: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA_FILE: %s holds no PEM certificate", file)
	}
	return roots, nil
}

// newLimiter returns the gate that requests pass, and shows its state.
func newLimiter(o *config.Options, m *metrics.Registry) *overload.Limiter {
	l := overload.New(overload.Options{
		MaxConcurrent: o.MaxConcurrentRequests, MaxDelay: o.OverloadDelay,
		MaxQueued: o.MaxQueuedRequests, QueueTimeout: o.QueueTimeout, MemoryLimit: overload.HeedMemoryLimit(),
	})
	m.GaugeFunc("llm_proxy_admission_limit", func() int64 { return l.Stats().Rate })
	m.SecondsFunc("llm_proxy_scheduling_delay_seconds", func() time.Duration { return l.Stats().Delay })
	return l
}

// lastCounts is how long an end waits for token counts: it and the last words
// to clients must not take more than a second after the grace.
const lastCounts = 300 * time.Millisecond

// close gives back what newGateway opened.
func (g *gateway) close() {
	if g.pool != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lastCounts)
		g.pool.Close(ctx)
		cancel()
	}
	g.closeLedger()
	g.closeTracer()
	if g.live != nil {
		g.live.Close()
	}
	if g.keeper != nil {
		g.keeper.close()
	}
	if g.demo != nil {
		g.demo.close()
	}
	if g.limiter != nil {
		g.limiter.Close()
	}
	if g.watcher != nil {
		_ = g.watcher.Close()
	}
	if g.store != nil {
		g.store.Close()
	}
}
