package metrics

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRequestsOfOneKeyAreOne(t *testing.T) {
	r := New(Options{})
	k := Key{r.Label("POST"), r.Label("/v1/chat/completions"), r.Label("gpt-4"), r.Label("a"), r.Label("alice")}
	if first, second := r.Requests(k), r.Requests(k); first != second {
		t.Error("two counts of one key")
	}
	k.Provider = r.Label("b")
	r.Requests(k).Done(200, 0)
	k.Provider = r.Label("a")
	r.Requests(k).Done(200, 0)
	if got := sum(samples(t, scrape(t, r)), "llm_proxy_requests_total"); got != 2 {
		t.Errorf("requests: %v, want 2", got)
	}
}

func TestStatus(t *testing.T) {
	f := func(status int, want string) {
		t.Helper()
		r := New(Options{})
		r.Requests(Key{}).Done(status, 0)
		for series := range samples(t, scrape(t, r)) {
			if strings.HasPrefix(series, "llm_proxy_requests_total") && !strings.Contains(series, `status_code="`+want+`"`) {
				t.Errorf("status %d: got %s, want %s", status, series, want)
			}
		}
	}
	f(100, "100")
	f(200, "200")
	f(499, "499")
	f(599, "599")
	f(0, "other")
	f(99, "other")
	f(600, "other")
	f(999_999_999, "other")
	f(-1, "other")
}

// Tokens are summed over methods and endpoints.
func TestTokens(t *testing.T) {
	r := New(Options{})
	model, provider, key := r.Label("gpt-4"), r.Label("a"), r.Label("alice")
	r.Requests(Key{r.Label("POST"), r.Label("/v1/chat/completions"), model, provider, key}).Tokens(1, 2, 3, 4)
	r.Requests(Key{r.Label("POST"), r.Label("/v1/completions"), model, provider, key}).Tokens(10, 20, 30, 40)
	r.Requests(Key{r.Label("POST"), r.Label("/v1/completions"), model, provider, key}).Tokens(-5, 0, 0, -1)
	m := samples(t, scrape(t, r))
	f := func(kind string, want float64) {
		t.Helper()
		series := `llm_proxy_tokens_total{model="gpt-4",provider="a",api_key_name="alice",token_type="` + kind + `"}`
		if m[series] != want {
			t.Errorf("%s: got %v, want %v", kind, m[series], want)
		}
	}
	f("prompt", 11)
	f("completion", 22)
	f("cached", 33)
	f("reasoning", 44)
}

// Requests summed over all series are the requests that were counted, however
// many keys and statuses there are and whether or not they find room; and the
// page stays below its bound.
func TestNoRequestIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxSeries = 500
		r := New(Options{MaxSeries: maxSeries})
		label := rapid.Custom(func(t *rapid.T) Label { return Label(rapid.IntRange(0, 8).Draw(t, "label")) })
		for i := range 9 {
			r.Label(fmt.Sprint("value ", i))
		}
		n := rapid.IntRange(1, 300).Draw(t, "requests")
		for range n {
			k := Key{Method: None, Endpoint: None, Model: label.Draw(t, "model"), Provider: label.Draw(t, "provider"), APIKey: label.Draw(t, "key")}
			q := r.Requests(k)
			q.Done(rapid.IntRange(0, 700).Draw(t, "status"), time.Millisecond)
			q.Tokens(2, 0, 0, 0)
			r.KeyLimits(k.APIKey, rapid.Bool().Draw(t, "metered")).Requests.Inc()
			r.Model(k.Model, k.Provider).TTFT.Observe(1)
		}
		m := samples(t, scrape(t, r))
		for name, want := range map[string]int{
			"llm_proxy_requests_total":                 n,
			"llm_proxy_request_duration_seconds_count": n,
			"llm_proxy_tokens_total":                   2 * n,
			"llm_proxy_rate_limited_total":             n,
			"llm_proxy_ttft_seconds_count":             n,
		} {
			if got := sum(m, name); got != float64(want) {
				t.Fatalf("%s: got %v, want %d", name, got, want)
			}
		}
		lines := 0
		for series := range m {
			if strings.Contains(series, `provider="`) || strings.Contains(series, `api_key_name="`) {
				lines++
			}
		}
		if got := m["llm_proxy_metrics_series"]; got != float64(lines) {
			t.Fatalf("llm_proxy_metrics_series is %v, but there are %d", got, lines)
		}
		// A tenth more for keys, and the series of "other".
		if lines > maxSeries*11/10+100 {
			t.Fatalf("%d series, with a bound of %d", lines, maxSeries)
		}
	})
}

// When there is no more room the keys are merged first, and then everything.
func TestTooManySeries(t *testing.T) {
	r := New(Options{MaxSeries: 2 * 19 * 10})
	method, endpoint := r.Label("POST"), r.Label("/v1/chat/completions")
	count := func(model, key string) {
		r.Requests(Key{method, endpoint, r.Label(model), r.Label("a"), r.Label(key)}).Done(200, 0)
	}
	for i := range 100 {
		count("gpt-4", fmt.Sprint("key ", i))
	}
	m := samples(t, scrape(t, r))
	if got := m[`llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="gpt-4",provider="a",api_key_name="other",status_code="200"}`]; got < 80 || got > 90 {
		t.Errorf("%v requests have only their key merged, want more than 80", got)
	}
	if got := m["llm_proxy_metrics_series_dropped_total"]; got < 80 {
		t.Errorf("dropped %v, want more than 80", got)
	}
	for i := range 100 {
		count(fmt.Sprint("model ", i), "key")
	}
	m = samples(t, scrape(t, r))
	if got := m[`llm_proxy_requests_total{method="other",endpoint="other",model="other",provider="other",api_key_name="other",status_code="200"}`] +
		m[`llm_proxy_requests_total{method="other",endpoint="other",model="other",provider="other",api_key_name="other",status_code="other"}`]; got < 90 {
		t.Errorf("%v requests are merged into one, want more than 90", got)
	}
	if got := sum(m, "llm_proxy_requests_total"); got != 200 {
		t.Errorf("%v requests, want 200", got)
	}
}

// S26: combinations that found room keep to the bound when they use tokens
// later: a third more series came of it once. No token is lost.
func TestTokensKeepToTheBound(t *testing.T) {
	const maxSeries = 2000
	r := New(Options{MaxSeries: maxSeries})
	var all []*Requests
	for i := range 200 {
		q := r.Requests(Key{Model: r.Label("gpt-4"), Provider: r.Label("a"), APIKey: r.Label(fmt.Sprint("key ", i))})
		q.Done(200, time.Millisecond)
		all = append(all, q)
	}
	for _, q := range all {
		q.Tokens(1, 2, 0, 0)
		q.Cost(5, true)
	}
	m := samples(t, scrape(t, r))
	if got := m["llm_proxy_metrics_series"]; got < maxSeries || got > maxSeries*11/10 {
		t.Errorf("%v series, with a bound of %d and a tenth more", got, maxSeries)
	}
	if got := sum(m, "llm_proxy_tokens_total"); got != 200*3 {
		t.Errorf("%v tokens, want %d", got, 200*3)
	}
	if got := sum(m, "llm_proxy_cost_usd_total"); math.Abs(got-200*5e-6) > 1e-12 {
		t.Errorf("%v dollars, want %v", got, 200*5e-6)
	}
}

// Many goroutines count while pages are written and labels come and go.
func TestCountingWhileScraping(t *testing.T) {
	r := New(Options{})
	const goroutines, each = 8, 2000
	var crowd, scraper sync.WaitGroup
	stop := make(chan struct{})
	scraper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				scrape(t, r)
			}
		}
	})
	for g := range goroutines {
		crowd.Go(func() {
			provider := r.Provider(r.Label(fmt.Sprint("provider ", g%2)))
			for i := range each {
				k := Key{Model: r.Label(fmt.Sprint("model ", i%7)), APIKey: r.Label(fmt.Sprint("key ", i%11))}
				q := r.Requests(k)
				q.Done(200+i%3, time.Duration(i)*time.Microsecond)
				q.Tokens(1, 1, 0, 0)
				provider.Retried("timeout")
				provider.SetHealthy(i%2 == 0)
				r.Overhead(Relay).Observe(1000)
				r.Active(None).Add(1)
			}
		})
	}
	crowd.Wait()
	close(stop)
	scraper.Wait()
	m := samples(t, scrape(t, r))
	f := func(name string, want float64) {
		t.Helper()
		if got := sum(m, name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	f("llm_proxy_requests_total", goroutines*each)
	f("llm_proxy_request_duration_seconds_count", goroutines*each)
	f("llm_proxy_tokens_total", 2*goroutines*each)
	f("llm_proxy_retries_total", goroutines*each)
	f("llm_proxy_overhead_seconds_count", goroutines*each)
	f("llm_proxy_active_requests", goroutines*each)
}
