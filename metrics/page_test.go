package metrics

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sampleRegistry has something in every family.
func sampleRegistry() *Registry {
	r := New(Options{Version: "1.2.3"})
	chat, gpt4 := r.Label("/v1/chat/completions"), r.Label("gpt-4")
	main, alice := r.Label("openai-main"), r.Label("alice")
	odd := r.Label("a \"quoted\" \\ name\nin two lines, naïve \xff\xfe")

	q := r.Requests(Key{r.Label("POST"), chat, gpt4, main, alice})
	q.Done(200, 1500*time.Millisecond)
	q.Done(200, 12*time.Millisecond)
	q.Done(429, 3*time.Millisecond)
	q.Done(0, time.Hour)
	q.Tokens(100, 20, 64, 7)
	r.Requests(Key{r.Label("POST"), chat, Other, None, odd}).Done(404, 0)
	r.Requests(Key{r.Label("POST"), chat, None, None, Anonymous}).Done(401, 0)

	r.Active(chat).Store(3)
	p := r.Provider(main)
	p.Latency.Observe(700 * time.Millisecond)
	p.Retried("connect")
	p.Retried("never heard of it")
	p.Truncated.Inc()
	p.BadEvents.Inc()
	p.ConnectionsFunc(func() Connections { return Connections{Active: 5, Idle: 2} })
	r.Provider(odd).SetHealthy(false)
	m := r.Model(gpt4, main)
	m.TTFT.Observe(230 * time.Millisecond)
	m.TokensPerSecond.Observe(61.5)
	limits := r.KeyLimits(alice, true)
	limits.Requests.Inc()
	limits.Budget.Inc()
	limits.BudgetFunc(func() Budget { return Budget{Limit: 12_500_000, Spent: 1} })
	q.Cost(1_500_000, true)
	q.Cost(0, false)

	r.Overhead(Admit).Observe(7 * time.Microsecond)
	r.Overhead(Relay).Observe(900)
	r.ConfigVersion.Store(42)
	r.ConfigReloads("success")
	r.Cancelled("first_event")
	r.UsageRecords("upstream")
	r.TokenJobs("queue_full")
	r.GaugeFunc("llm_proxy_token_queue_length", func() int64 { return 11 })
	r.CounterFunc("llm_proxy_trace_spans_total", "result", "dropped", func() int64 { return 2 })
	r.GaugeFunc("llm_proxy_client_connections", func() int64 { return 12 })
	r.CounterFunc("llm_proxy_clients_stalled_total", "", "", func() int64 { return 14 })
	r.CounterFunc("llm_proxy_accept_errors_total", "", "", func() int64 { return 15 })
	r.GaugeFunc("llm_proxy_queued_requests", func() int64 { return 13 })
	r.GaugeFunc("llm_proxy_admission_limit", func() int64 { return 1400 })
	r.CounterFunc("llm_proxy_usage_stored_total", "", "", func() int64 { return 1234 })
	r.CounterFunc("llm_proxy_usage_dropped_total", "reason", "disk", func() int64 { return 7 })
	r.CounterFunc("llm_proxy_usage_dropped_total", "reason", "torn", func() int64 { return 1 })
	r.CounterFunc("llm_proxy_usage_blocks_damaged_total", "", "", func() int64 { return 2 })
	r.GaugeFunc("llm_proxy_usage_queue_length", func() int64 { return 17 })
	r.GaugeFunc("llm_proxy_usage_journal_bytes", func() int64 { return 8 << 20 })
	r.SecondsFunc("llm_proxy_usage_journal_lag_seconds", func() time.Duration { return 125 * time.Second })
	r.SecondsFunc("llm_proxy_scheduling_delay_seconds", func() time.Duration { return 15 * time.Millisecond })
	r.Overhead(Queue).Observe(16 * time.Millisecond)
	r.Overloaded("busy")
	r.Panics.Inc()
	return r
}

// The whole page of the gateway's own metrics: dashboards and alerts are
// written to it. (What the process reports changes from scrape to scrape.)
func TestGolden(t *testing.T) {
	var got strings.Builder
	for line := range strings.Lines(scrape(t, sampleRegistry())) {
		if strings.Contains(line, "llm_proxy_") {
			got.WriteString(strings.ReplaceAll(line, runtime.Version(), "go1.x"))
		}
	}
	file := filepath.Join("testdata", "page.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the page has changed; if that is meant, run go test -update and say so in the CHANGELOG.\n%s", firstDifference(got.String(), string(want)))
	}
}

// Prometheus' own judgement: format, names, types, help.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: apt-get install prometheus")
	}
	f := func(r *Registry) {
		t.Helper()
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = strings.NewReader(scrape(t, r))
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	}
	f(sampleRegistry())
	f(New(Options{}))
}

// What MONITORING.md says of the number of series is what is booked for them.
func TestSeriesAreAsDocumented(t *testing.T) {
	text, err := os.ReadFile("../MONITORING.md")
	if err != nil {
		t.Fatal(err)
	}
	f := func(row string, lines ...int64) {
		t.Helper()
		for _, n := range lines {
			row = strings.Replace(row, "#", strconv.FormatInt(n, 10), 1)
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("MONITORING.md does not say %q", row)
		}
	}
	f("| a provider | # |", providerLines)
	f("| a model at a provider | # |", modelLines)
	f("| a key | #; with a token limit, a budget or a concurrency limit # |", rateLines, rateLines+quotaLines)
	f("met in a request | #, and 1 for each status code |", requestBuckets.lines())
	f("and used tokens | # |", tokenLines)
	f("`MAX_METRIC_SERIES` (100,000)")
	if n := len(samples(t, scrape(t, New(Options{})))); n < 220 || n > 280 {
		t.Errorf("a gateway without a provider has %d series, not about 250", n)
	}
}

// Every family is announced once, with a help text and a type, above its
// samples, and its samples stand in one place.
func TestFamilies(t *testing.T) {
	seen := map[string]bool{}
	var current string
	for line := range strings.Lines(scrape(t, sampleRegistry())) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			current = fields[2]
			if seen[current] {
				t.Errorf("%s is announced twice", current)
			}
			seen[current] = true
			if len(fields) < 4 || fields[3] == "" {
				t.Errorf("%s has no help", current)
			}
			if strings.Contains(line, "As the operating system or the Go runtime reports it.") {
				t.Errorf("%s is not in the table of families", current)
			}
		case strings.HasPrefix(line, "# TYPE "):
			if len(fields) != 4 || fields[2] != current {
				t.Errorf("type of another family: %q under %s", line, current)
			}
		default:
			name, _, _ := strings.Cut(fields[0], "{")
			if name != current && name != current+"_bucket" && name != current+"_sum" && name != current+"_count" {
				t.Errorf("%q stands under %s", line, current)
			}
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "llm_proxy_") && !seen[name] {
			t.Errorf("%s is in the table but not on the page", name)
		}
	}
	for _, name := range []string{"go_goroutines", "go_cpus", "process_resident_memory_bytes", "process_open_fds"} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// A library that learns a new metric must not break the page.
func TestUnknownLibraryFamilyHasHelp(t *testing.T) {
	var p page
	p.appendLibrary([]byte("# HELP go_new\n# TYPE go_new gauge\ngo_new{a=\"b\"} 1\n# HELP go_cgo_calls_count\n# TYPE go_cgo_calls_count counter\ngo_cgo_calls_count 1\n"))
	want := "# HELP go_new As the operating system or the Go runtime reports it.\n# TYPE go_new gauge\ngo_new{a=\"b\"} 1\n"
	if string(p.buf) != want {
		t.Errorf("got %q, want %q", p.buf, want)
	}
}

func TestGaugeFuncWantsAKnownName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New(Options{}).GaugeFunc("llm_proxy_without_help", func() int64 { return 0 })
}

func TestWriteToReportsItsWriter(t *testing.T) {
	r := sampleRegistry()
	if _, err := r.WriteTo(brokenWriter{}); err == nil {
		t.Error("the writer's error is lost")
	}
	var b bytes.Buffer
	if n, err := r.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Errorf("wrote %d of %d bytes, %v", n, b.Len(), err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

func scrape(t fataler, r *Registry) string {
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// samples reads a page: the value of each series.
func samples(t fataler, text string) map[string]float64 {
	m := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := m[line[:at]]; twice {
			t.Fatalf("%s is there twice", line[:at])
		}
		m[line[:at]] = v
	}
	return m
}

// sum adds up all series of one name.
func sum(m map[string]float64, name string) (total float64) {
	for series, v := range m {
		if series == name || strings.HasPrefix(series, name+"{") {
			total += v
		}
	}
	return total
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "line " + strconv.Itoa(i+1) + "\ngot  " + g[i] + "\nwant " + w[i]
		}
	}
	return "one of them ends at line " + strconv.Itoa(min(len(g), len(w)))
}
