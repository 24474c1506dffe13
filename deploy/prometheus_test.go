package deploy

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// scrapeEvery is how often the test's Prometheus scrapes, and looks at the rules.
const scrapeEvery = 200 * time.Millisecond

// waitLimit bounds every wait for Prometheus on a loaded machine.
const waitLimit = 30 * time.Second

// prometheusServer is a running Prometheus that scrapes one gateway.
type prometheusServer struct {
	url      string
	instance string // what it takes the gateway for
	gateway  *atomic.Pointer[httputil.ReverseProxy]
	out      syncBuffer
	moment   float64 // of the last awaitScrape, in Unix time
}

// syncBuffer is what a process has said.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startPrometheus runs Prometheus with the project's rules until the test
// ends. It may start before the gateway that it will scrape.
func startPrometheus(t *testing.T) *prometheusServer {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Fatal("Prometheus is missing: apt-get install prometheus")
	}
	dir := t.TempDir()
	rules, err := filepath.Abs("prometheus/rules/llm-proxy.yml")
	if err != nil {
		t.Fatal(err)
	}
	gateway := &atomic.Pointer[httputil.ReverseProxy]{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if to := gateway.Load(); to != nil {
			to.ServeHTTP(w, q)
			return
		}
		http.Error(w, "the gateway is yet to start", http.StatusServiceUnavailable)
	}))
	t.Cleanup(front.Close)
	target := front.Listener.Addr().String()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: %v, evaluation_interval: %v}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: llm-proxy, static_configs: [{targets: [%q]}]}]\n", scrapeEvery, scrapeEvery, rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// It cannot be asked for a free port: one that was free a moment ago may be
	// another's now, so it is tried again.
	for range 5 {
		p := &prometheusServer{instance: target, gateway: gateway}
		if p.start(t, config, filepath.Join(dir, "data")) {
			return p
		}
		t.Logf("Prometheus did not start:\n%s", p.out.String())
	}
	t.Fatal("Prometheus does not start")
	return nil
}

// scrape names the gateway.
func (p *prometheusServer) scrape(t *testing.T, gateway string) {
	t.Helper()
	u, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	p.gateway.Store(httputil.NewSingleHostReverseProxy(u))
}

// start runs the process and reports whether it became ready.
func (p *prometheusServer) start(t *testing.T, config, data string) bool {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	p.url = "http://" + addr
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+data, "--web.listen-address="+addr, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // why it ended is in what it said
		close(exited)
	}()
	end := func() {
		_ = cmd.Process.Kill()
		<-exited
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(waitLimit); ; {
		select {
		case <-again.C:
			if resp, err := http.Get(p.url + "/-/ready"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					t.Cleanup(end)
					return true
				}
			}
		case <-exited:
			return false
		case <-deadline:
			end()
			return false
		}
	}
}

// ask calls Prometheus' API; data is decoded into answer.
func (p *prometheusServer) ask(path string, query url.Values, answer any) error {
	resp, err := http.PostForm(p.url+path, query)
	if strings.Contains(path, "/label/") || strings.HasSuffix(path, "/rules") {
		if err == nil {
			resp.Body.Close()
		}
		resp, err = http.Get(p.url + path + "?" + query.Encode())
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var whole struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&whole); err != nil {
		return err
	}
	if whole.Status != "success" {
		return fmt.Errorf("prometheus: %s", whole.Error)
	}
	return json.Unmarshal(whole.Data, answer)
}

// sample is one series of an answer.
type sample struct {
	labels map[string]string
	value  float64
}

// query evaluates an expression at the moment of the last awaitScrape. Series
// without a number (NaN) are left out: a panel shows nothing of them.
func (p *prometheusServer) query(expr string) ([]sample, error) {
	return p.queryAt(expr, p.moment)
}

// queryAt evaluates an expression at a moment in Unix time; 0 is now.
func (p *prometheusServer) queryAt(expr string, moment float64) ([]sample, error) {
	var answer struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	form := url.Values{"query": {expr}}
	if moment > 0 {
		form.Set("time", strconv.FormatFloat(moment, 'f', 3, 64))
	}
	if err := p.ask("/api/v1/query", form, &answer); err != nil {
		return nil, err
	}
	var all []sample
	for _, r := range answer.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		if !math.IsNaN(v) {
			all = append(all, sample{r.Metric, v})
		}
	}
	return all, nil
}

// labelValues are what Grafana's label_values(series, label) is.
func (p *prometheusServer) labelValues(series, label string) (values []string, err error) {
	err = p.ask("/api/v1/label/"+label+"/values", url.Values{"match[]": {series}}, &values)
	return values, err
}

// await waits until an expression has the answer that is wanted.
func (p *prometheusServer) await(t *testing.T, expr string, want func([]sample) bool) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(waitLimit)
	for {
		got, err := p.queryAt(expr, 0)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		if want(got) {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s is %v for %v\nPrometheus said:\n%s", expr, got, waitLimit, p.out.String())
		}
	}
}

// awaitScrape waits until everything that has been counted so far has been
// scraped, and the rules have seen it. That moment is the one of later
// queries: one after it may lie behind a scrape that failed, since a busy
// machine may not have answered in time.
func (p *prometheusServer) awaitScrape(t *testing.T) {
	t.Helper()
	began := float64(time.Now().UnixMilli()) / 1000
	p.await(t, `max(timestamp(instance:llm_proxy_requests:rate5m))`, func(rules []sample) bool {
		if len(rules) == 0 || rules[0].value <= began {
			return false
		}
		scraped, err := p.queryAt(`max(timestamp(llm_proxy_build_info))`, rules[0].value)
		p.moment = rules[0].value
		return err == nil && len(scraped) > 0 && scraped[0].value > began
	})
}
