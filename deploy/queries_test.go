package deploy

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"llmproxy/bench/loadgen"
	"llmproxy/internal/fakeprovider"
)

// atRest are the metrics that stay at zero while a gateway is well and its
// load is light: a panel of nothing else must answer, but may show zero.
var atRest = []string{
	"llm_proxy_panics_total", "llm_proxy_snapshot_errors_total", "llm_proxy_accept_errors_total", "llm_proxy_clients_stalled_total",
	"llm_proxy_usage_dropped_total", "llm_proxy_usage_blocks_damaged_total", "llm_proxy_usage_queue_length", "llm_proxy_usage_journal_lag_seconds", "llm_proxy_usage_journal_bytes",
	"llm_proxy_metrics_series_dropped_total", "llm_proxy_retry_budget_spent_total",
	"llm_proxy_admission_limit", "llm_proxy_queued_requests", "llm_proxy_token_queue_length", "llm_proxy_scheduling_delay_seconds",
	"llm_proxy_active_requests", "llm_proxy_trace_spans_total",
	"go_gc_cpu_seconds_total", "go_gc_pauses_seconds",
	"max by (job) (llm_proxy_config_version) - min", // there is one instance
	`ALERTS{alertname=~"LLMProxy.+",alertstate="firing"}`,
}

// TestEveryQueryAnswers: a real Prometheus has scraped a real gateway that
// served, refused, failed over, cut, spliced, reloaded and ejected. Then every
// query of every panel and variable, every recording and every alert has an
// answer, and one that is not all zero; and what was removed is gone.
func TestEveryQueryAnswers(t *testing.T) {
	p := startPrometheus(t) // it takes five seconds to look at its targets
	s := newScene(t)
	p.scrape(t, s.URL)
	steady := newSteadyModel(t, s)
	s.chat(t, s.Key(t), "steady") // a series has no rate before its second sample
	p.await(t, `instance:llm_proxy_requests:rate5m`, func(got []sample) bool { return len(got) > 0 })
	p.awaitScrape(t)

	load := steady.load(t)
	s.round(t, "first")
	p.awaitScrape(t)
	s.round(t, "second")
	result := load()
	s.tighten(t)
	s.spoil(t)
	s.AwaitMetric(t, `llm_proxy_config_reloads_total{result="invalid"}`, 1)
	p.awaitScrape(t)

	values := map[string]string{"__rate_interval": "1m", "instance": "(" + p.instance + ")", "provider": ".*", "model": ".*", "key": ".*"}
	for _, file := range slices.Sorted(maps.Keys(boards(t))) {
		d := boards(t)[file]
		t.Run(file, func(t *testing.T) { p.checkBoard(t, d, values) })
	}
	t.Run("rules", p.checkRules)
	t.Run("page", func(t *testing.T) {
		_, page := s.Get(t, "/metrics", "")
		promtoolReads(t, page, "check", "metrics")
	})
	t.Run("alerts", p.checkAlerts)
	t.Run("P95", func(t *testing.T) { p.checkQuantile(t, result, values) })
	t.Run("removed", func(t *testing.T) { s.checkRemoval(t, p) })
}

// answers demands an answer of an expression, and not only zeros unless it may.
func (p *prometheusServer) answers(t *testing.T, where, expr string) {
	t.Helper()
	got, err := p.query(expr)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, expr)
		return
	}
	if len(got) == 0 {
		t.Errorf("%s: no answer\n%s", where, expr)
		return
	}
	shown := slices.ContainsFunc(got, func(s sample) bool { return s.value != 0 })
	may := slices.ContainsFunc(atRest, func(name string) bool { return strings.Contains(expr, name) })
	if !shown && !may {
		t.Errorf("%s: nothing but zeros\n%s", where, expr)
	}
}

// checkBoard asks what a dashboard asks when it is opened.
func (p *prometheusServer) checkBoard(t *testing.T, d *dashboard, values map[string]string) {
	ask := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := ask.FindStringSubmatch(v.asks())
		if m == nil {
			t.Errorf("variable %s: %q", v.Name, v.asks())
			continue
		}
		if got, err := p.labelValues(fill(t, m[1], values), m[2]); err != nil || len(got) == 0 {
			t.Errorf("variable %s: %q, %v", v.Name, got, err)
		}
	}
	for where, expr := range d.expressions() {
		p.answers(t, where, fill(t, expr, values))
	}
}

// comparison is the end of an alert's expression: above it is what is measured.
var comparison = regexp.MustCompile(`\s(>|>=|==)\s[0-9.]+\s*$`)

// checkRules: every recording is there, every alert measures something, and
// Prometheus evaluates all of them without an error.
func (p *prometheusServer) checkRules(t *testing.T) {
	for _, r := range rules(t) {
		if r.Record != "" {
			p.answers(t, r.Record, r.Record)
			continue
		}
		if !comparison.MatchString(r.Expr) {
			t.Errorf("%s compares with no number: %s", r.Alert, r.Expr)
		}
		p.answers(t, r.Alert, comparison.ReplaceAllString(r.Expr, ""))
	}
	var state struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.ask("/api/v1/rules", url.Values{}, &state); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range state.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health != "ok" {
				t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if n != len(rules(t)) {
		t.Errorf("Prometheus has %d rules of %d", n, len(rules(t)))
	}
}

// checkAlerts: what the load did wrong has begun to count against the time
// after which an alert fires; what it did not has not. (No matter how a busy
// machine delays scrapes, and shifts the share of the retries.)
func (p *prometheusServer) checkAlerts(t *testing.T) {
	want := []string{
		"LLMProxyBudgetNearEnd", "LLMProxyCircuitOpen", "LLMProxyManyErrors", "LLMProxyOverloaded",
		"LLMProxyProviderUnhealthy", "LLMProxyReloadFailing",
	}
	p.await(t, `count by (alertname) (count_over_time(ALERTS{alertname!~"LLMProxyDown|LLMProxyRetriesMany"}[5m]))`, func(got []sample) bool {
		var names []string
		for _, s := range got {
			names = append(names, s.labels["alertname"])
		}
		slices.Sort(names)
		return slices.Equal(names, want)
	})
}

// steadyModel is a model whose answers take times that are known.
type steadyModel struct {
	target *loadgen.Target
}

// newSteadyModel adds a provider that takes 30 ms for most answers, and 180 ms
// for one of ten: far from the bounds of the buckets (25, 50, 100, 250 ms).
func newSteadyModel(t *testing.T, s *scene) *steadyModel {
	t.Helper()
	fake := fakeprovider.Start(t)
	fake.Handle(func(r *fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.OpenAI(r)
		a.Delay = 30 * time.Millisecond
		if r.Seq%10 == 0 {
			a.Delay = 180 * time.Millisecond
		}
		return a
	})
	s.AddProvider(t, map[string]any{"provider_key": "steady", "api_base": fake.URL(), "model_mapping": map[string]any{"steady": "steady"}})
	target, err := loadgen.NewTarget(s.URL, s.Key(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &steadyModel{target}
}

// load sends requests at a fixed rate; the function that it returns waits for
// the last and says what they took.
func (m *steadyModel) load(t *testing.T) func() *loadgen.Result {
	t.Helper()
	type end struct {
		result *loadgen.Result
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := loadgen.Run(context.Background(), m.target, loadgen.Plan{
			Rate: 50, Time: 2 * time.Second, Timeout: waitLimit, Connections: 40, Model: "steady",
		})
		ended <- end{r, err}
	}()
	return func() *loadgen.Result {
		t.Helper()
		e := <-ended
		if e.err != nil {
			t.Fatal(e.err)
		}
		if e.result.Wrong() > 0 {
			t.Fatalf("wrong answers: %v", e.result.Faults)
		}
		return e.result
	}
}

// checkQuantile: P95 as the dashboard shows it is the load generator's own,
// within one bucket of the histogram.
func (p *prometheusServer) checkQuantile(t *testing.T, r *loadgen.Result, values map[string]string) {
	values = maps.Clone(values)
	values["model"] = "steady"
	d := boards(t)["overview.json"]
	at := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == "P95 latency" })
	got, err := p.query(fill(t, d.Panels[at].Targets[0].Expr, values))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	buckets, own := p.buckets(t), r.Latency.Quantile(0.95)
	// The generator counts from the moment that a request was due: how late it
	// was itself, on a busy machine, no gateway can know.
	least := slot(buckets, (own-r.Late.Max()).Seconds()) - 1
	if shown := slot(buckets, got[0].value); shown < least || shown > slot(buckets, own.Seconds())+1 {
		t.Errorf("the dashboard's P95 is %.3f s, the load generator's %v", got[0].value, own)
	}
	t.Logf("P95: %.3f s on the dashboard, %v at the load generator, of %d requests", got[0].value, own, r.Requests)
}

// buckets are the upper bounds of llm_proxy_request_duration_seconds.
func (p *prometheusServer) buckets(t *testing.T) (upper []float64) {
	t.Helper()
	values, err := p.labelValues(`llm_proxy_request_duration_seconds_bucket{model="steady"}`, "le")
	if err != nil || len(values) < 5 {
		t.Fatalf("buckets %q, %v", values, err)
	}
	for _, le := range values {
		var v float64
		if _, err := fmt.Sscan(strings.TrimPrefix(le, "+"), &v); err != nil {
			t.Fatal(err)
		}
		upper = append(upper, v)
	}
	slices.Sort(upper)
	return upper
}

// slot is the number of the bucket that a value is in.
func slot(upper []float64, v float64) int {
	i, _ := slices.BinarySearch(upper, v)
	return i
}

// checkRemoval: the series of a provider and a key that are taken away are
// gone after the next scrape.
func (s *scene) checkRemoval(t *testing.T, p *prometheusServer) {
	f := func(selector string) {
		t.Helper()
		p.await(t, `count({`+selector+`})`, func(got []sample) bool { return len(got) == 0 })
	}
	s.Admin(t, "DELETE", fmt.Sprintf("/providers/%d", s.removable), nil, 200)
	s.Admin(t, "DELETE", fmt.Sprintf("/credentials/%d", s.key), nil, 200)
	f(`provider="removable",__name__=~"llm_proxy_.+"`)
	f(`api_key_name="metered",__name__=~"llm_proxy_.+"`)
}
