package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"llmproxy/downstream"
	"llmproxy/server"
)

// listeners are the sockets of a gateway.
type listeners struct {
	clients   net.Listener
	operators net.Listener // nil without ADMIN_ADDR
}

// listen opens the addresses, or takes the sockets that the supervisor has
// opened.
func (g *gateway) listen() (*listeners, error) {
	var l listeners
	err := g.openInto(&l)
	if err != nil {
		l.close()
		return nil, err
	}
	return &l, nil
}

func (g *gateway) openInto(l *listeners) error {
	cert, err := g.loadCertificate()
	if err != nil {
		return err
	}
	passed, err := inherited()
	if err != nil {
		return err
	}
	defer passed.close() // of those that are not taken
	if passed.operators != nil && g.o.AdminAddr == "" {
		return errors.New("LISTEN_FDS: a socket for operators was passed, but ADMIN_ADDR is not set")
	}
	clients, err := g.take(&passed.clients, net.JoinHostPort(g.o.Host, strconv.Itoa(g.o.Port)))
	if err != nil {
		return err
	}
	public := downstream.NewListener(clients, downstream.Options{WriteTimeout: g.o.ClientWriteTimeout, Log: g.log})
	l.clients = withTLS(public, cert)
	g.metrics.GaugeFunc("llm_proxy_client_connections", func() int64 { return public.Stats().Open })
	g.metrics.CounterFunc("llm_proxy_clients_stalled_total", "", "", func() int64 { return public.Stats().Stalled })
	g.metrics.CounterFunc("llm_proxy_accept_errors_total", "", "", func() int64 { return public.Stats().AcceptErrors })
	if g.o.AdminAddr == "" {
		return nil
	}
	operators, err := g.take(&passed.operators, g.o.AdminAddr)
	if err != nil {
		return err
	}
	l.operators = withTLS(downstream.NewListener(operators, downstream.Options{WriteTimeout: g.o.ClientWriteTimeout, Log: g.log}), cert)
	return nil
}

// take takes a socket that was passed or, without one, binds the address.
func (g *gateway) take(passed *net.Listener, address string) (net.Listener, error) {
	if ln := *passed; ln != nil {
		*passed = nil
		return ln, nil
	}
	var how net.ListenConfig
	if g.o.ReusePort {
		how.Control = reusePort
	}
	ln, err := how.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, errors.Unwrap(err))
	}
	return ln, nil
}

// loadCertificate reads TLS_CERT_FILE; nil without one.
func (g *gateway) loadCertificate() (*downstream.Certificate, error) {
	if g.o.TLSCertFile == "" {
		return nil, nil
	}
	return downstream.LoadCertificate(g.o.TLSCertFile, g.o.TLSKeyFile, func(err error) {
		if err != nil {
			g.log.Error("changed TLS certificate not used", "error", err)
			return
		}
		g.log.Info("TLS certificate changed")
	})
}

func withTLS(ln *downstream.Listener, cert *downstream.Certificate) net.Listener {
	if cert == nil {
		return ln
	}
	return downstream.NewTLSListener(ln, cert)
}

// serve has the server take the connections of all. The channel gets what each
// of them ended with.
func (l *listeners) serve(s *server.Server) <-chan error {
	served := make(chan error, 2)
	go func() { served <- s.Serve(l.clients) }()
	if l.operators != nil {
		go func() { served <- s.ServeOperators(l.operators) }()
	}
	return served
}

// count is how many listeners there are.
func (l *listeners) count() int {
	if l.operators == nil {
		return 1
	}
	return 2
}

// close may come more than once.
func (l *listeners) close() {
	for _, ln := range []net.Listener{l.clients, l.operators} {
		if ln != nil {
			_ = ln.Close() // what is closed already is just as well
		}
	}
}
