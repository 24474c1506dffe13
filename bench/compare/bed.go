package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	model    = "gpt-4o"
	adminKey = "compare-admin-key"
)

// bed is the test bed: a directory and the programs that run in it.
type bed struct {
	ctx      context.Context
	dir      string
	gateway  string // program
	mock     string // program
	provider string // its address
	running  []*server
}

func newBed(ctx context.Context) (*bed, error) {
	dir, err := os.MkdirTemp("", "compare-")
	return &bed{ctx: ctx, dir: dir}, err
}

// close ends all programs, the last first, and removes the directory.
func (b *bed) close() {
	for len(b.running) > 0 {
		last := len(b.running) - 1
		b.running[last].stop()
		b.running = b.running[:last]
	}
	os.RemoveAll(b.dir)
}

// build makes the programs as they are shipped.
func (b *bed) build(gateway string) error {
	b.gateway, b.mock = gateway, filepath.Join(b.dir, "mockllm")
	targets := map[string]string{b.mock: "llmproxy/bench/mockllm"}
	if gateway == "" {
		b.gateway = filepath.Join(b.dir, "llm-proxy")
		targets[b.gateway] = "llmproxy/cmd/llm-proxy"
	}
	for out, pkg := range targets {
		cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, said)
		}
	}
	return nil
}

func (b *bed) startProvider(o options) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	b.provider = addr
	s, err := b.start("provider", addr, nil, b.mock,
		"-addr", addr, "-answer", fmt.Sprint(o.answer), "-events", fmt.Sprint(o.events), "-gap", o.gap.String())
	if err != nil {
		return err
	}
	return b.await(s, "/")
}

// startGateway runs llm-proxy with the embedded store, and declares through
// the Admin API what a small installation has: three weighted providers and a
// key with a rate limit (one that is not reached).
func (b *bed) startGateway() (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	s, err := b.start("llm-proxy", addr, []string{
		"HOST=" + host, "PORT=" + port, "DATA_DIR=" + filepath.Join(b.dir, "data"), "ADMIN_KEY=" + adminKey,
		"DB_URL=", "OPENAI_API_KEY=",
	}, b.gateway)
	if err != nil {
		return nil, err
	}
	if err := b.await(s, "/health"); err != nil {
		return nil, err
	}
	for i, weight := range []int{5, 3, 2} {
		err := b.declare(s, "providers", map[string]any{
			"provider_key": fmt.Sprintf("provider-%d", i+1), "api_base": "http://" + b.provider + "/v1",
			"api_key": "sk-provider", "weight": weight, "model_mapping": map[string]string{model: "gpt-4o-2024-11-20"},
		}, nil)
		if err != nil {
			return nil, err
		}
	}
	var made struct{ Key string }
	err = b.declare(s, "credentials", map[string]any{"name": "compare", "rate_limit": 1_000_000, "allowed_models": []string{model}}, &made)
	s.key = made.Key
	return s, err
}

// declare posts to the gateway's Admin API.
func (b *bed) declare(s *server, what string, body map[string]any, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "http://"+s.addr+"/admin/v1/"+what, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("declare %s: %s: %s", what, resp.Status, got)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}

// await asks path until the server answers.
func (b *bed) await(s *server, path string) error {
	var err error
	for range 200 {
		var resp *http.Response
		if resp, err = http.Get("http://" + s.addr + path); err == nil {
			resp.Body.Close()
			return nil
		}
		if err := pause(b.ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.Join(fmt.Errorf("%s does not answer; it said:\n%s", s.name, s.said()), err)
}

// freeAddr returns an address of this machine that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
