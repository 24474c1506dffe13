//go:build linux

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// TestDiskFullOfUsage (R46): on a full disk neither journal nor usage.db takes
// anything. Requests are answered as before; their records wait in memory, as
// many as USAGE_QUEUE allows, and come in once there is space again. The rest
// is counted.
func TestDiskFullOfUsage(t *testing.T) {
	t.Parallel()
	const queue, before, during = 1024, 100, 1500
	d := limited(t)
	g := gatewaytest.Start(t, gatewaytest.Options{Dir: d.dir, Env: map[string]string{
		"OVERLOAD_DELAY_MS": "0", "USAGE_QUEUE": fmt.Sprint(queue), "LOG_LEVEL": "warn",
	}})
	fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), "model_mapping": map[string]any{"m": "m"}})
	key := g.Key(t)
	a := &asking{}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(round, n int) {
		t.Helper()
		for i := range n {
			if err := a.once(client, g.URL, key, fmt.Sprintf("r-%d-%d", round, i)); err != nil {
				t.Fatalf("request %d of round %d: %v", i, round, err)
			}
		}
	}
	ask(0, before)
	g.AwaitMetric(t, "llm_proxy_usage_stored_total", before)
	d.fill(t, g)
	ask(1, during)
	g.AwaitMetric(t, "llm_proxy_usage_queue_length", queue)
	if lost := g.Metric(t, `llm_proxy_usage_dropped_total{reason="disk"}`) + g.Metric(t, `llm_proxy_usage_dropped_total{reason="queue_full"}`); lost != during-queue {
		t.Errorf("%v records are counted as dropped, want %d", lost, during-queue)
	}
	d.free(t, g)
	g.AwaitMetric(t, "llm_proxy_usage_stored_total", before+queue)
	ask(2, before)
	if code := g.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if said := g.Output(); strings.Count(said, "usage journal cannot be written") != 1 {
		t.Error("the log does not say once that the disk fails")
	}

	u := openUsage(t, "", d.dir)
	if stored := storedRequests(t, u); len(stored) != 2*before+queue || summedRequests(t, u) != len(stored) {
		t.Errorf("records of %d requests, %d in the sums, want %d", len(stored), summedRequests(t, u), 2*before+queue)
	}
}
