package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"llmproxy/downstream"
)

// listen opens the public address, or takes the socket that the supervisor
// has opened.
func (g *gateway) listen() (net.Listener, error) {
	inner, err := inherited(os.LookupEnv, os.Getpid()) // a supervisor's word to this process, no setting
	if inner == nil && err == nil {
		inner, err = g.bind()
	}
	if err != nil {
		return nil, err
	}
	ln := downstream.NewListener(inner, downstream.Options{WriteTimeout: g.o.ClientWriteTimeout, Log: g.log})
	g.metrics.GaugeFunc("llm_proxy_client_connections", func() int64 { return ln.Stats().Open })
	g.metrics.CounterFunc("llm_proxy_clients_stalled_total", "", "", func() int64 { return ln.Stats().Stalled })
	g.metrics.CounterFunc("llm_proxy_accept_errors_total", "", "", func() int64 { return ln.Stats().AcceptErrors })
	if g.o.TLSCertFile == "" {
		return ln, nil
	}
	cert, err := downstream.LoadCertificate(g.o.TLSCertFile, g.o.TLSKeyFile, func(err error) {
		if err != nil {
			g.log.Error("changed TLS certificate not used", "error", err)
			return
		}
		g.log.Info("TLS certificate changed")
	})
	if err != nil {
		inner.Close()
		return nil, err
	}
	return downstream.NewTLSListener(ln, cert), nil
}

func (g *gateway) bind() (net.Listener, error) {
	address := net.JoinHostPort(g.o.Host, strconv.Itoa(g.o.Port))
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

// firstInherited is the number of the first descriptor that is passed on.
const firstInherited = 3

// inherited returns the listening socket that was passed to this process by
// systemd's socket activation (sd_listen_fds), or nil. Processes that share it
// share its queue: no connection is lost when one of them closes it.
func inherited(lookup func(string) (string, bool), pid int) (net.Listener, error) {
	count, _ := lookup("LISTEN_FDS")
	owner, _ := lookup("LISTEN_PID")
	if count == "" || owner != strconv.Itoa(pid) {
		return nil, nil // nothing, or another process's
	}
	if count != "1" {
		return nil, fmt.Errorf("LISTEN_FDS: %s sockets were passed, one is needed", count)
	}
	file := os.NewFile(firstInherited, "LISTEN_FDS")
	defer file.Close()
	ln, err := net.FileListener(file) // a duplicate, not passed on any further
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS: %w", err)
	}
	if _, ok := ln.(*net.TCPListener); !ok {
		ln.Close()
		return nil, fmt.Errorf("LISTEN_FDS: a %s socket was passed, TCP is needed", ln.Addr().Network())
	}
	return ln, nil
}
