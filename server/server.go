package server

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
	"llmproxy/metrics"
	"llmproxy/overload"
	"llmproxy/route"
	"llmproxy/tokens"
	"llmproxy/tracing"
	"llmproxy/usage"
)

// Options are the limits of the data plane; docs/settings.md tells them all.
type Options struct {
	MaxBodyBytes   int64             // of a request; more is 413
	MaxHeaderBytes int               // of a request's head; more is 431
	MaxHeaderLines int               // of a request's head; more is 431; 0: 128
	MaxAnswerBytes int               // kept whole before the first byte goes out; longer answers stream through
	MaxEventBytes  int               // of one server-sent event; longer ends the stream with an error
	MaxErrorBytes  int               // of a provider's error answer, which is cut there; 0: 256 KiB
	MaxTextBytes   int               // of a stream's text, kept for counting and splicing; the rest is estimated; 0: 1 MiB
	MaxListBytes   int               // of a provider's list of models; a longer one is none; 0: 4 MiB
	MaxLogLines    int64             // warnings of one kind a second; 0: 20
	LogShare       float64           // of the requests that get a line at info, whatever becomes of them; 0: none, 1: all
	SlowRequest    time.Duration     // one that takes so long gets a warning; 0: none does
	Limiter        *overload.Limiter // of requests that come in; nil lets everybody in
	MaxWaiting     int64             // requests that may wait for a provider to have room; 0: none
	WaitTimeout    time.Duration     // for this long at most
	MaxAttempts    int               // at providers, for one request; route.MaxTried at most
	RetryBudget    int64             // retries in percent of the requests; some each second are always allowed

	ReadTimeout time.Duration // a whole request, head and body
	IdleTimeout time.Duration // a kept-alive connection between requests

	MetricsKey string    // guards /metrics when not empty
	Operators  Operators // where the pages for operators are

	MaxScrapes int64         // pages of metrics on their way at once; who wants one more gets 503; 0: 8
	ScrapeTime time.Duration // for a client to take the page of metrics; 0: 30 s
}

// Deps is what a Server works with. All but Usage are required.
type Deps struct {
	Live    *route.Live
	Metrics *metrics.Registry
	Tokens  *tokens.Pool
	Sink    usage.Sink
	Watcher *downstream.Watcher
	Health  Health
	Usage   Usage                 // nil: there is no ledger to ask
	IsAdmin func(key []byte) bool // whether a key is the admin's, who may read /health/detailed too
	Tracer  *tracing.Tracer       // nil: nothing is traced
	Log     *slog.Logger
}

// Health answers for the state of the providers.
type Health interface {
	// Detailed returns the JSON report of /health/detailed.
	Detailed(ctx context.Context) []byte
}

// Server serves clients. Its methods may be called by any goroutine.
type Server struct {
	Options

	live    *route.Live
	metrics *metrics.Registry
	pool    *tokens.Pool
	sink    usage.Sink
	watcher *downstream.Watcher
	health  Health
	isAdmin func(key []byte) bool
	tracer  *tracing.Tracer
	journal *journal
	router  *router.Router
	private *router.Router // nil without a second listener

	clients, operators door

	catalog   catalog
	usage     usageMemory
	exchanges sync.Pool // of *exchange
	inflight  inflight
	budget    budget
	waiting   atomic.Int64 // for a provider to have room
	draining  atomic.Bool  // not ready; answers say "connection: close"
	refusing  atomic.Bool  // new requests get 503
	leftAt    atomic.Int64 // when draining became true
	scrapes   scrapes

	// Resolved once, used by every request.
	get, post metrics.Label
	limits    limits
	admitted  *metrics.Durations
	relayed   *metrics.Durations
	queued    *metrics.Durations
}

// New returns a Server that is ready to Serve.
func New(o Options, d Deps) *Server {
	o.preset()
	s := &Server{
		Options: o, live: d.Live, metrics: d.Metrics, pool: d.Tokens, sink: d.Sink,
		watcher: d.Watcher, health: d.Health, isAdmin: d.IsAdmin, tracer: d.Tracer, journal: newJournal(d.Log, o, d.Metrics),
		get: d.Metrics.Label("GET"), post: d.Metrics.Label("POST"),
		admitted: d.Metrics.Overhead(metrics.Admit), relayed: d.Metrics.Overhead(metrics.Relay), queued: d.Metrics.Overhead(metrics.Queue),
	}
	s.limits.init(d.Metrics)
	s.usage.init(d.Usage)
	s.catalog.most, s.catalog.tooLong = o.MaxListBytes, s.limits.listBytes
	s.budget.init(o.RetryBudget)
	s.router = newRouter()
	s.clients.http = s.newHTTP(s.router.Handler)
	if o.Operators != WithClients {
		s.private = newRouter()
		s.operators.http = s.newHTTP(forOperators(s.private.Handler))
	}
	s.addRoutes()
	return s
}

// Router is where other rooms add their paths, before Serve.
func (s *Server) Router() *router.Router { return s.router }

func (s *Server) addRoutes() {
	for _, e := range newEndpoints(s.metrics) {
		s.router.POST(e.path, s.handle(e))
	}
	s.router.GET("/v1/models", s.forClients("/v1/models", s.listModels))
	s.router.GET("/v1/models/{id:*}", s.forClients("/v1/models/{id}", s.getModel))
	s.router.GET("/v1/usage", s.forClients("/v1/usage", s.showUsage))
	s.addHealth(s.router)
	if s.private != nil {
		s.addHealth(s.private)
	}
	for _, r := range s.OperatorRouters() {
		addPage(r, "/health/detailed", s.detailed)
		addPage(r, "/metrics", s.scrape)
	}
}

// addHealth adds what probes ask for.
func (s *Server) addHealth(r *router.Router) {
	addPage(r, "/health", s.liveness)
	addPage(r, "/health/live", s.liveness)
	addPage(r, "/health/ready", s.readiness)
}

func addPage(r *router.Router, path string, h fasthttp.RequestHandler) {
	r.GET(path, h)
	r.HEAD(path, h)
}

// Serve takes the clients' connections from the listener until Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	return s.clients.serve(ln)
}

// handle serves a forwarded endpoint.
func (s *Server) handle(e *endpoint) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		x := s.acquire(ctx, e)
		defer s.rescue(x)
		s.serve(x)
		if !x.streamed {
			s.release(x)
		}
	}
}

// serve takes a request on its whole journey.
func (s *Server) serve(x *exchange) {
	s.watcher.Start(&x.watch, x.ctx.Conn(), x)
	if err := s.admit(x); err != nil {
		s.reject(x, err)
		return
	}
	if err := s.forward(x); err != nil {
		s.reject(x, err)
		return
	}
	s.relay(x)
}
