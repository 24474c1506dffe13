package main

import (
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"llmproxy/config"
	"llmproxy/internal/apitest"
	"llmproxy/internal/gatewaytest"
)

// public are the paths that need no key. Whoever adds one must mean it.
var public = []string{
	"/", "/docs", "/docs/{asset:*}", "/openapi.json", "/openapi.yaml",
	"/health", "/health/live", "/health/ready",
}

// S08: every path of the router, whatever the method, asks for a key, but for
// those that are named here. S32: none of them sets anything up without one.
// S25: /metrics asks too, with METRICS_KEY.
func TestEveryRouteAsksForAKey(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{"METRICS_KEY": "metrics-0123456789"}})
	closed := 0
	for _, route := range allRoutes(t) {
		method, path, _ := strings.Cut(route, " ")
		want := 401
		if slices.Contains(public, path) {
			want = 200
			if method != http.MethodGet && method != http.MethodHead {
				t.Errorf("%s needs no key", route)
			}
		}
		if regexp.MustCompile(`setup|install|init|login|register|signup|wizard|oauth|token|debug|pprof`).MatchString(path) {
			t.Errorf("what is %s?", route)
		}
		path = strings.NewReplacer("{asset:*}", "docs.css", "{id:*}", "1", "{id}", "1", "{rest:*}", "v1/providers").Replace(path)
		if strings.Contains(path, "{") {
			t.Fatalf("%s: give the parameter a value here", route)
		}
		for _, key := range []string{"", "Bearer wrong-0123456789", "Basic d3Jvbmc6d3Jvbmc="} {
			got := ask(t, g.URL, method, path, key)
			if path == "/" && got == http.StatusFound {
				continue
			}
			if got != want && !(want == 401 && got == 429) { // guesses are throttled
				t.Errorf("%s with %q: %d, want %d", route, key, got, want)
			}
		}
		if want == 401 {
			closed++
		}
	}
	if closed < 28 {
		t.Errorf("only %d routes ask for a key: is the list whole?", closed)
	}
}

// S08: a key opens its own door and no other.
func TestKeysOpenTheirOwnDoors(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{"METRICS_KEY": "metrics-0123456789"}})
	f := func(path, key string, want int) {
		t.Helper()
		if got := ask(t, g.URL, "GET", path, "Bearer "+key); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	client, admin := g.Key(t), g.AdminKey
	f("/v1/models", client, 200)
	f("/v1/models", admin, 401)
	f("/v1/models", "metrics-0123456789", 401)
	f("/admin/v1/providers", admin, 200)
	f("/admin/v1/providers", client, 401)
	f("/admin/v1/providers", "metrics-0123456789", 401)
	f("/metrics", "metrics-0123456789", 200)
	f("/metrics", client, 401)
	f("/metrics", admin, 401)
	f("/health/detailed", client, 200)
	f("/health/detailed", admin, 200)
	f("/health/detailed", "metrics-0123456789", 401)
}

// allRoutes are all methods and paths of the program's router, and all
// operations of the Admin API, which has a router of its own.
func allRoutes(t *testing.T) (all []string) {
	t.Helper()
	o, err := config.ParseOptions([]string{"--data-dir", t.TempDir()}, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	g.wireHandlers()
	for method, paths := range g.server.Router().List() {
		methods := []string{method}
		if method == "*" { // whatever it is
			methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
		}
		for _, m := range methods {
			for _, path := range paths {
				all = append(all, m+" "+path)
			}
		}
	}
	for _, op := range apitest.Operations() {
		if strings.HasPrefix(op.Path, "/admin/") {
			all = append(all, op.Method+" "+op.Path)
		}
	}
	slices.Sort(all)
	return all
}

// ask sends a request without a body, follows nothing, and returns the status.
func ask(t *testing.T, url, method, path, authorization string) int {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		q.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
