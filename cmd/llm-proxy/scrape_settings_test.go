package main

import (
	"log/slog"
	"testing"
	"time"

	"llmproxy/config"
)

// The bounds of scrapes are those that the settings say. What happens at them
// package server tests.
func TestScrapesAreBoundedAsSet(t *testing.T) {
	f := func(most int64, within time.Duration, args ...string) {
		t.Helper()
		o, err := config.ParseOptions(append(args, "--data-dir", t.TempDir()), func(string) (string, bool) { return "", false }, nil)
		if err != nil {
			t.Fatal(err)
		}
		g, err := newGateway(o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		g.wireHandlers()
		if g.server.MaxScrapes != most || g.server.ScrapeTime != within {
			t.Errorf("%q: %d at once, for %v; want %d and %v", args, g.server.MaxScrapes, g.server.ScrapeTime, most, within)
		}
	}
	f(8, 30*time.Second)
	f(3, 4*time.Second, "--max-scrapes", "3", "--scrape-timeout-secs", "4")
}
