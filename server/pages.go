package server

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/metrics"
	"llmproxy/openai"
	"llmproxy/route"
)

// page is a small answer that the gateway makes itself for a client.
type page func(ctx *fasthttp.RequestCtx, caller *route.Caller, table *route.Table) error

// forClients serves a page to those who have a client key, charged to its rate
// limit like every request. It is counted under path.
func (s *Server) forClients(path string, p page) fasthttp.RequestHandler {
	endpoint := s.metrics.Label(path)
	return func(ctx *fasthttp.RequestCtx) {
		start := now()
		table := s.live.Table()
		status := fasthttp.StatusOK
		caller, err := identify(ctx, table, start)
		if err == nil {
			err = s.charge(&ctx.Response.Header, caller, start)
		}
		if err == nil {
			err = p(ctx, caller, table)
		}
		if err != nil {
			status = fail(ctx, err)
		}
		s.countPage(endpoint, caller, status, start)
	}
}

func (s *Server) countPage(endpoint metrics.Label, caller *route.Caller, status int, start int64) {
	key := metrics.None
	if caller != nil {
		key = caller.Label
	}
	s.metrics.Requests(metrics.Key{
		Method: s.get, Endpoint: endpoint, Model: metrics.None, Provider: metrics.None, APIKey: key,
	}).Done(status, time.Duration(now()-start))
}

// liveness says that the process can serve.
func (s *Server) liveness(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, []byte(`{"status":"ok"}`))
}

// readiness says whether requests should be sent here: not while draining, and
// not before a configuration has arrived.
func (s *Server) readiness(ctx *fasthttp.RequestCtx) {
	switch {
	case s.draining.Load():
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		writeJSON(ctx, []byte(`{"status":"draining"}`))
	case s.live.Table().Empty():
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		writeJSON(ctx, []byte(`{"status":"no configuration","detail":"the configuration could not be loaded yet; the log says why"}`))
	default:
		writeJSON(ctx, []byte(`{"status":"ok"}`))
	}
}

// detailed tests all providers for whoever has a client key or the admin's.
func (s *Server) detailed(ctx *fasthttp.RequestCtx) {
	if _, err := identify(ctx, s.live.Table(), now()); err != nil && !s.isAdmin(credential(ctx)) {
		fail(ctx, err)
		return
	}
	// The context is not ctx: a shutdown would cancel it at once.
	within, cancel := context.WithTimeout(context.Background(), detailedTimeout)
	defer cancel()
	writeJSON(ctx, s.health.Detailed(within))
}

// detailedTimeout bounds /health/detailed: each probe has 10 s of its own.
const detailedTimeout = 15 * time.Second

// charge takes a page's request from the caller's bucket.
func (s *Server) charge(h *fasthttp.ResponseHeader, caller *route.Caller, now int64) error {
	verdict := caller.Bucket.Take(now)
	if verdict.OK {
		return nil
	}
	caller.Limits.Requests.Inc()
	writeRateHeaders(h, verdict)
	return openai.ErrRateLimited(verdict.RetryAfter)
}

// fail makes the error the answer and returns its status.
func fail(ctx *fasthttp.RequestCtx, err error) int {
	own, ok := err.(*openai.Error)
	if !ok {
		own = openai.ErrInternal(err)
	}
	writeError(ctx, own)
	return own.Status
}
