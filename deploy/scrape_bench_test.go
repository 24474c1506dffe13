package deploy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"llmproxy/bench/loadgen"
	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// BenchmarkRequestsDuringScrapes is what clients notice of the largest page
// that there can be: the gateway has as many series as MAX_METRIC_SERIES
// allows, and is scraped in every other run of the same load. It reports P99 of
// both and their ratio; the load generator and the provider share the machine,
// so a scrape takes one of few CPUs away: what arrives meanwhile waits.
//
//	go test ./deploy -run '^$' -bench RequestsDuringScrapes -benchtime 1x
func BenchmarkRequestsDuringScrapes(b *testing.B) {
	g := gatewaytest.Start(b, gatewaytest.Options{Env: map[string]string{"LOG_LEVEL": "error", "USAGE_LEDGER": "off"}})
	crowdSeries(b, g)
	target, err := loadgen.NewTarget(g.URL, g.Key(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	var quiet, scraped loadgen.Result
	var pages, bytes int64
	var took time.Duration
	for b.Loop() {
		for range 2 {
			load(b, target, &quiet)
			stop := scrapes(b, g, &pages, &bytes, &took)
			load(b, target, &scraped)
			stop()
		}
	}
	series := g.Metric(b, "llm_proxy_metrics_series")
	if series < 100_000 || pages == 0 || quiet.Wrong()+scraped.Wrong() > 0 {
		b.Fatalf("%v series, %d scrapes, %v %v", series, pages, quiet.Faults, scraped.Faults)
	}
	before, during := quiet.Latency.Quantile(0.99), scraped.Latency.Quantile(0.99)
	b.ReportMetric(float64(before.Microseconds()), "p99-quiet-µs")
	b.ReportMetric(float64(during.Microseconds()), "p99-scraped-µs")
	b.ReportMetric(float64(during)/float64(before), "ratio")
	b.ReportMetric(series, "series")
	b.ReportMetric(float64(bytes/pages), "page-bytes")
	b.ReportMetric(float64(took.Milliseconds())/float64(pages), "page-ms")
}

// crowdSeries makes series until the bound is met: 50 providers of 20 models,
// and 100 keys that ask for one after the other.
func crowdSeries(b *testing.B, g *gatewaytest.Gateway) {
	b.Helper()
	fake := fakeprovider.Start(b)
	for p := range 50 {
		models := map[string]any{}
		for m := range 20 {
			models[fmt.Sprintf("model-%d-%d", p, m)] = "fake"
		}
		g.AddProvider(b, map[string]any{"provider_key": fmt.Sprint("provider-", p), "api_base": fake.URL(), "model_mapping": models})
	}
	for k := range 100 {
		key, _ := g.AddCredential(b, map[string]any{"name": fmt.Sprint("key-", k)})
		for i := range 50 {
			body := fmt.Sprintf(`{"model":"model-%d-%d","messages":[]}`, i, k%20)
			if status, answer := g.Post(b, "/v1/chat/completions", key, body); status != http.StatusOK {
				b.Fatalf("%d %s", status, answer)
			}
		}
	}
}

// load is ten seconds of requests.
func load(b *testing.B, target *loadgen.Target, into *loadgen.Result) {
	b.Helper()
	r, err := loadgen.Run(context.Background(), target, loadgen.Plan{
		Rate: 300, Warm: time.Second, Time: 10 * time.Second, Timeout: waitLimit, Connections: 32, Model: "model-0-0",
	})
	if err != nil {
		b.Fatal(err)
	}
	into.Merge(r)
}

// pageEvery is twice as often as deploy/prometheus asks for the page.
const pageEvery = 5 * time.Second

// scrapes reads the page every five seconds until the function that it returns is called.
func scrapes(b *testing.B, g *gatewaytest.Gateway, pages, bytes *int64, took *time.Duration) func() {
	b.Helper()
	stop := make(chan struct{})
	var scraper sync.WaitGroup
	scraper.Go(func() {
		again := time.NewTicker(pageEvery)
		defer again.Stop()
		for {
			began := time.Now()
			resp, err := http.Get(g.URL + "/metrics")
			if err != nil {
				b.Errorf("scrape: %v", err)
				return
			}
			n, _ := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			*took += time.Since(began)
			*pages++
			*bytes += n
			select {
			case <-again.C:
			case <-stop:
				return
			}
		}
	})
	return func() {
		close(stop)
		scraper.Wait()
	}
}
