package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"llmproxy/bench/mockllm/provider"
	"llmproxy/config"
	"llmproxy/demo"
	"llmproxy/downstream"
)

// mock serves a provider by itself, for load tests. What is no chat request,
// the demo provider answers, at the same pace.
func mock(ctx context.Context, o *config.Options, out io.Writer) error {
	options, err := mockOptions(o.Args, out)
	if err != nil || options == nil {
		return err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return err
	}
	rest := demo.New(demo.Options{Latency: options.Latency, Gap: options.Interval, Tokens: options.Tokens})
	options.Rest = rest.Handle
	p := provider.New(*options)
	fmt.Fprintf(out, "mock provider on http://%s/v1, model %q\n", ln.Addr(), demo.Model)
	served := make(chan error, 1)
	go func() { served <- p.Serve(downstream.NewListener(ln, downstream.Options{})) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = rest.Shutdown(stop) // ends its pauses; it has no listener
		_ = p.Shutdown(stop)
		return <-served
	}
}
