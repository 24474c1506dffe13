package gatewaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Admin calls the Admin API with a JSON body, or none for nil, demands the
// status and returns the answer's object.
func (g *Gateway) Admin(tb testing.TB, method, path string, body any, status int) map[string]any {
	tb.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			tb.Fatal(err)
		}
	}
	got, text, err := g.do(method, "/admin/v1"+path, g.AdminKey, raw)
	if err != nil {
		tb.Fatalf("%s /admin/v1%s: %v", method, path, err)
	}
	if got != status {
		tb.Fatalf("%s /admin/v1%s: got %d, want %d: %s", method, path, got, status, text)
	}
	object := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			tb.Fatalf("%s /admin/v1%s: %v in %s", method, path, err, text)
		}
	}
	return object
}

// AddProvider makes a provider of these fields and returns its id. Without an
// api_key it gets a canary as its key.
func (g *Gateway) AddProvider(tb testing.TB, fields map[string]any) int64 {
	tb.Helper()
	if fields["api_key"] == nil {
		fields["api_key"] = NewCanary("provider")
	}
	g.Canary(fmt.Sprint(fields["api_key"]))
	return id(tb, g.Admin(tb, http.MethodPost, "/providers", fields, http.StatusCreated)["provider"])
}

// AddCredential makes a client key of these fields and returns it. Without a
// key it gets a canary.
func (g *Gateway) AddCredential(tb testing.TB, fields map[string]any) (key string, credential int64) {
	tb.Helper()
	if fields["key"] == nil {
		fields["key"] = "sk-" + NewCanary("client")
	}
	key = fmt.Sprint(fields["key"])
	g.Canary(key)
	return key, id(tb, g.Admin(tb, http.MethodPost, "/credentials", fields, http.StatusCreated)["credential"])
}

// id reads the id of an object that the Admin API answered with.
func id(tb testing.TB, object any) int64 {
	tb.Helper()
	m, _ := object.(map[string]any)
	n, ok := m["id"].(float64)
	if !ok {
		tb.Fatalf("no id in %v", object)
	}
	return int64(n)
}

// Key is a client key that may do everything, made at the first call.
func (g *Gateway) Key(tb testing.TB) string {
	tb.Helper()
	g.mu.Lock()
	key := g.key
	g.mu.Unlock()
	if key != "" {
		return key
	}
	key, _ = g.AddCredential(tb, map[string]any{"name": "tests"})
	g.mu.Lock()
	g.key = key
	g.mu.Unlock()
	return key
}

// Get fetches a path, with a bearer key unless it is empty.
func (g *Gateway) Get(tb testing.TB, path, key string) (status int, body string) {
	tb.Helper()
	status, body, err := g.get(path, key)
	if err != nil {
		tb.Fatalf("GET %s: %v", path, err)
	}
	return status, body
}

// Post sends JSON to a path, with a bearer key unless it is empty.
func (g *Gateway) Post(tb testing.TB, path, key, body string) (status int, answer string) {
	tb.Helper()
	status, answer, err := g.do(http.MethodPost, path, key, []byte(body))
	if err != nil {
		tb.Fatalf("POST %s: %v", path, err)
	}
	return status, answer
}

// Metric is the sum of all samples with this name and, among others, these
// labels: Metric(t, `llm_proxy_requests_total{provider="p",status_code="200"}`).
// Without any it is 0.
func (g *Gateway) Metric(tb testing.TB, series string) float64 {
	tb.Helper()
	_, page := g.Get(tb, "/metrics", "")
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	sum := 0.0
	for line := range strings.Lines(page) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndexByte(line, '}'); i >= 0 {
			sample, value = line[:i], strings.TrimSpace(line[i+1:])
		}
		if !matches(sample, name, labels) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			tb.Fatalf("metric %q: %v", line, err)
		}
		sum += n
	}
	return sum
}

// AwaitMetric waits until Metric is want: what ends a request is seen by others
// a moment before it is counted.
func (g *Gateway) AwaitMetric(tb testing.TB, series string, want float64) {
	tb.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(startLimit)
	for {
		got := g.Metric(tb, series)
		if got == want {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			tb.Fatalf("%s is %v, want %v", series, got, want)
		}
	}
}

// matches reports whether a sample has the name and all of the labels.
func matches(sample, name, labels string) bool {
	own, all, _ := strings.Cut(sample, "{")
	if own != name {
		return false
	}
	for label := range strings.SplitSeq(labels, ",") {
		if !strings.Contains(","+all+",", ","+label+",") && labels != "" {
			return false
		}
	}
	return true
}

func (g *Gateway) get(path, key string) (int, string, error) {
	return g.do(http.MethodGet, path, key, nil)
}

// do is one request and its whole answer.
func (g *Gateway) do(method, path, key string, body []byte) (int, string, error) {
	q, err := http.NewRequest(method, g.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	resp, err := g.client.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
