// Package testbed runs the programs of a measurement: a cheap provider, the
// gateway as it is shipped, and whatever it is measured beside, each a process
// of its own on the loopback, on the processors that it is given.
//
//	b, err := testbed.New(ctx)
//	defer b.Close()
//	b.Build("")                                        // the programs
//	b.StartProvider("-answer", "1024")
//	gateway, err := b.StartGateway("OVERLOAD_DELAY_MS=50")
//	… send requests to gateway.Addr with gateway.Key; read gateway.CPU() …
package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"
)

// Bed is a directory and the programs that run in it. One goroutine uses it.
type Bed struct {
	Dir      string
	Provider string // its address, once it is started
	// GatewayCPUs and OtherCPUs are lists as taskset takes them; empty is all.
	GatewayCPUs, OtherCPUs string

	ctx     context.Context
	gateway string // program
	mock    string // program
	running []*Server
}

// New makes the directory. ctx ends waiting and building, not the programs:
// Close does.
func New(ctx context.Context) (*Bed, error) {
	dir, err := os.MkdirTemp("", "testbed-")
	return &Bed{ctx: ctx, Dir: dir}, err
}

// Close ends all programs, the last first, and removes the directory.
func (b *Bed) Close() {
	for len(b.running) > 0 {
		last := len(b.running) - 1
		b.running[last].stop()
		b.running = b.running[:last]
	}
	os.RemoveAll(b.Dir)
}

// Build makes the programs as they are shipped; gateway is the path of one
// that is built already, or empty.
func (b *Bed) Build(gateway string) error {
	b.gateway, b.mock = gateway, filepath.Join(b.Dir, "mockllm")
	targets := map[string]string{b.mock: "llmproxy/bench/mockllm"}
	if gateway == "" {
		b.gateway = filepath.Join(b.Dir, "llm-proxy")
		targets[b.gateway] = "llmproxy/cmd/llm-proxy"
	}
	for out, pkg := range targets {
		if err := b.build(out, pkg); err != nil {
			return err
		}
	}
	return nil
}

// BuildProgram makes a further program of this module, and returns its path.
func (b *Bed) BuildProgram(pkg string) (string, error) {
	out := filepath.Join(b.Dir, path.Base(pkg))
	return out, b.build(out, pkg)
}

func (b *Bed) build(out, pkg string) error {
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, said)
	}
	return nil
}

// StartProvider runs mockllm with these arguments.
func (b *Bed) StartProvider(args ...string) error {
	addr, err := FreeAddr()
	if err != nil {
		return err
	}
	b.Provider = addr
	s, err := b.Start("provider", addr, b.OtherCPUs, nil, b.mock, append([]string{"-addr", addr}, args...)...)
	if err != nil {
		return err
	}
	return b.Await(s, "/")
}

// Await asks path until the server answers, for ten seconds at most.
func (b *Bed) Await(s *Server, path string) error {
	var err error
	for range 200 {
		var resp *http.Response
		if resp, err = http.Get("http://" + s.Addr + path); err == nil {
			resp.Body.Close()
			return nil
		}
		if err := Pause(b.ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.Join(fmt.Errorf("%s does not answer; it said:\n%s", s.Name, s.said()), err)
}

// FreeAddr returns an address of this machine that nobody listens on.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// Pause waits for d, or fails when ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
