package server

import (
	"bytes"
	"net"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/openai"
)

// Operators says where the pages for operators are: /metrics,
// /health/detailed, and what other rooms add.
type Operators uint8

const (
	WithClients Operators = iota // on the one listener there is
	Apart                        // on a second listener, and not on the clients'
	OnBoth                       // on a second listener too
)

// OperatorRouters are the routers that pages for operators belong to.
func (s *Server) OperatorRouters() []*router.Router {
	switch s.Operators {
	case Apart:
		return []*router.Router{s.private}
	case OnBoth:
		return []*router.Router{s.router, s.private}
	}
	return []*router.Router{s.router}
}

// PrivateRouter is the router of the second listener; nil without one.
func (s *Server) PrivateRouter() *router.Router { return s.private }

// ServeOperators takes connections from the second listener until Shutdown.
func (s *Server) ServeOperators(ln net.Listener) error { return s.operators.serve(ln) }

// forOperators refuses what a browser sends for the pages of others: of another
// origin or, by a name that leads to this machine (DNS rebinding), of what it
// takes for the same origin. /metrics may have no key that would stop them.
func forOperators(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if crossOrigin(&ctx.Request.Header) || rebound(ctx.LocalIP(), ctx.Request.Header.Host()) {
			fail(ctx, openai.ErrOperatorsOnly())
			return
		}
		h(ctx)
	}
}

// rebound reports whether somebody came by the loopback and called it by a
// name that is not its own. A request without a Host is no browser's.
func rebound(local net.IP, host []byte) bool {
	if !local.IsLoopback() || len(host) == 0 {
		return false
	}
	name := string(bytes.ToLower(host))
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	} else if len(name) > 1 && name[0] == '[' {
		name = name[1 : len(name)-1]
	}
	return !config.IsLoopback(name)
}
