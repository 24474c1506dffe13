package main

import (
	"net"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmproxy/downstream"
	"llmproxy/profiling"
	"llmproxy/server"
)

// operatorsAt is where the Admin API, the metrics and the detailed health are.
func (g *gateway) operatorsAt() server.Operators {
	switch {
	case g.o.AdminAddr == "":
		return server.WithClients
	case g.o.AdminOnPublicPort:
		return server.OnBoth
	}
	return server.Apart
}

// addProfiles adds what there is on the listener for operators alone.
func (g *gateway) addProfiles(r *router.Router, guard func(fasthttp.RequestHandler) fasthttp.RequestHandler) {
	pages := profiling.New(profiling.Options{Ended: g.profilesEnd, Watch: g.watchOperator})
	pages.Register(r, guard)
}

// endProfiles ends the recordings under way, each with what it has.
func (g *gateway) endProfiles() { close(g.profilesEnd) }

// operator is somebody who waits for a recording.
type operator struct {
	watch downstream.Watch
	left  func()
}

// ClientGone implements downstream.Client.
func (o *operator) ClientGone() { o.left() }

// watchOperator calls left when the client of the connection goes, until stop.
func (g *gateway) watchOperator(conn net.Conn, left func()) (stop func()) {
	o := &operator{left: left}
	g.watcher.Start(&o.watch, conn, o)
	return o.watch.Stop
}
