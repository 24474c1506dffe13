package testbed

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// Model is what clients ask for.
const Model = "gpt-4o"

const adminKey = "testbed-admin-key"

// StartGateway runs llm-proxy with the embedded store and these further
// settings (NAME=value), and declares through the Admin API what a small
// installation has: three weighted providers and a key with a rate limit (one
// that is not reached).
func (b *Bed) StartGateway(settings ...string) (*Server, error) {
	s, err := b.startGateway(settings...)
	if err != nil {
		return nil, err
	}
	for i, weight := range []int{5, 3, 2} {
		err := b.declare(s, "providers", map[string]any{
			"provider_key": fmt.Sprintf("provider-%d", i+1), "api_base": "http://" + b.Provider + "/v1",
			"api_key": "sk-provider", "weight": weight, "model_mapping": map[string]string{Model: "gpt-4o-2024-11-20"},
		}, nil)
		if err != nil {
			return nil, err
		}
	}
	var made struct{ Key string }
	err = b.declare(s, "credentials", map[string]any{"name": "testbed", "rate_limit": 1_000_000, "allowed_models": []string{Model}}, &made)
	s.Key = made.Key
	return s, err
}

// startGateway runs llm-proxy as its store has it.
func (b *Bed) startGateway(settings ...string) (*Server, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	env := append([]string{
		"HOST=" + host, "PORT=" + port, "DATA_DIR=" + filepath.Join(b.Dir, "data"), "ADMIN_KEY=" + adminKey,
		"DB_URL=", "OPENAI_API_KEY=",
	}, settings...)
	s, err := b.Start("llm-proxy", addr, b.GatewayCPUs, env, b.gateway)
	if err != nil {
		return nil, err
	}
	return s, b.Await(s, "/health")
}

// declare posts to the gateway's Admin API.
func (b *Bed) declare(s *Server, what string, body map[string]any, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "http://"+s.Addr+"/admin/v1/"+what, bytes.NewReader(data))
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

// ChatRequest makes the bytes of a chat request to the server, of a body that
// is size bytes long if that is enough for what must be in it.
func (s *Server) ChatRequest(stream bool, size int) []byte {
	head := `{"model":"` + cmp.Or(s.Model, Model) + `",`
	if stream {
		head += `"stream":true,"stream_options":{"include_usage":true},`
	}
	head += `"messages":[{"role":"user","content":"`
	const tail = `"}]}`
	body := head + strings.Repeat("x", max(0, size-len(head)-len(tail))) + tail
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.Addr, s.Key, s.Header, len(body), body)
}

// Metric returns the sum of a metric of the gateway, over all its labels.
func (s *Server) Metric(name string) (float64, error) {
	resp, err := http.Get("http://" + s.Addr + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(page)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s on the page of %s", name, s.Name)
	}
	return sum, nil
}
