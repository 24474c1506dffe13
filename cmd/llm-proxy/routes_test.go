package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"llmproxy/config"
	"llmproxy/internal/apitest"
)

// Every path of the router is described, and every described one is there; the
// Admin API's own are compared in package admin.
func TestRoutesAreDescribed(t *testing.T) {
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

	var served, described []string
	for method, paths := range g.server.Router().List() {
		for _, path := range paths {
			if method == "GET" || method == "POST" {
				served = append(served, method+" "+strings.ReplaceAll(path, ":*}", "}"))
			}
		}
	}
	for _, op := range apitest.Operations() {
		if !strings.HasPrefix(op.Path, "/admin/") {
			described = append(described, op.Method+" "+op.Path)
		}
	}
	// The page's own pieces are no part of the API.
	pieces := []string{"GET /", "GET /docs/{asset}", "GET /docs/"}
	for _, route := range served {
		if !slices.Contains(described, route) && !slices.Contains(pieces, route) {
			t.Errorf("%s is served but not described", route)
		}
	}
	for _, route := range described {
		if !slices.Contains(served, route) {
			t.Errorf("%s is described but not served", route)
		}
	}
}
