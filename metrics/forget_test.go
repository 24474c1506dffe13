package metrics

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestForget(t *testing.T) {
	r := New(Options{})
	model, a, b, alice := r.Label("gpt-4"), r.Label("a"), r.Label("b"), r.Label("alice")
	for _, p := range []Label{a, b} {
		r.Provider(p).ConnectionsFunc(func() Connections { return Connections{Active: 1} })
		r.Model(model, p).TTFT.Observe(time.Second)
		q := r.Requests(Key{Model: model, Provider: p, APIKey: alice})
		q.Done(200, time.Second)
		q.Tokens(1, 2, 3, 4)
	}
	r.KeyLimits(alice, false).Requests.Inc()
	r.Requests(Key{None, None, Other, None, Anonymous}).Done(401, 0)

	mentions := func(what string) (n int) {
		for series := range samples(t, scrape(t, r)) {
			if strings.Contains(series, what) {
				n++
			}
		}
		return n
	}
	r.Forget(Live{Models: set(model), Providers: set(a), APIKeys: set(alice)})
	page := samples(t, scrape(t, r))
	if _, ok := page[`llm_proxy_provider_health{provider="b"}`]; ok {
		t.Error("a provider that is gone has a health")
	}
	if _, ok := page[`llm_proxy_upstream_connections{provider="b",state="active"}`]; ok {
		t.Error("a provider that is gone has connections")
	}
	if got := sum(page, "llm_proxy_requests_total"); got != 3 {
		t.Errorf("the last counts were not shown: %v requests, want 3", got)
	}
	if n := mentions(`provider="b"`); n != 0 {
		t.Errorf("%d series of the gone provider are left after a scrape", n)
	}
	if n := mentions(`provider="a"`); n == 0 {
		t.Error("a live provider is gone")
	}
	r.Forget(Live{Models: set(model), Providers: set(a), APIKeys: set()})
	mentions("")
	if n := mentions("alice"); n != 0 {
		t.Errorf("%d series of the gone key are left", n)
	}
	if n := mentions(`api_key_name="anonymous"`); n == 0 {
		t.Error("the series of nobody are gone")
	}
}

// What comes back before it was shown goes on where it was.
func TestForgetAndComeBack(t *testing.T) {
	r := New(Options{})
	k := Key{Provider: r.Label("a")}
	r.Requests(k).Done(200, 0)
	r.Provider(k.Provider).Truncated.Inc()
	r.Forget(Live{})
	r.Provider(k.Provider).Truncated.Inc()
	page := samples(t, scrape(t, r))
	if got := page[`llm_proxy_streams_truncated_total{provider="a"}`]; got != 2 {
		t.Errorf("truncated: %v, want 2", got)
	}
	if got := page[`llm_proxy_provider_health{provider="a"}`]; got != 1 {
		t.Errorf("health: %v, want 1", got)
	}
}

// Nobody scrapes: names that come and go must not pile up.
func TestForgetWithoutScrapes(t *testing.T) {
	r := New(Options{})
	for i := range 1000 {
		name := r.Label(fmt.Sprint("name ", i))
		r.Provider(name)
		r.Model(name, name)
		r.KeyLimits(name, false)
		q := r.Requests(Key{Model: name, Provider: name, APIKey: name})
		q.Done(200, 0)
		q.Tokens(1, 1, 1, 1)
		r.Forget(Live{})
	}
	if n := r.series.Load(); n > 500 {
		t.Errorf("%d series are booked", n)
	}
	if n := len(r.requests.all()) + len(r.tokens) + len(r.models) + len(r.providers) + len(r.keyLimits); n > 10 {
		t.Errorf("%d entries are kept", n)
	}
}

// A Prometheus that scrapes now and then, while the configuration comes and
// goes, sees every request: the increases add up to what was counted.
func TestForgettingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := New(Options{})
		var labels []Label
		for i := range 4 {
			labels = append(labels, r.Label(fmt.Sprint("name ", i)))
		}
		last, seen, counted := map[string]float64{}, 0., 0
		look := func() {
			now := samples(t, scrape(t, r))
			for series, v := range now {
				if strings.HasPrefix(series, "llm_proxy_requests_total") {
					if v < last[series] {
						last[series] = 0 // it began anew
					}
					seen += v - last[series]
				}
			}
			// What was dropped begins anew. A Prometheus notices that when it
			// looks once in between, or by the lower count.
			last = samples(t, scrape(t, r))
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"count", "count", "forget", "scrape"}).Draw(t, "step") {
			case "count":
				k := Key{Model: rapid.SampledFrom(labels).Draw(t, "model"), Provider: rapid.SampledFrom(labels).Draw(t, "provider")}
				for range rapid.IntRange(1, 3).Draw(t, "requests") {
					r.Requests(k).Done(200, 0)
					counted++
				}
			case "forget":
				look() // scrapes are more frequent than reloads; see TestForgetWithoutScrapes
				r.Forget(Live{Models: set(labels[:2]...), Providers: set(rapid.SliceOf(rapid.SampledFrom(labels)).Draw(t, "live")...)})
			case "scrape":
				look()
			}
		}
		look()
		look()
		if seen != float64(counted) {
			t.Fatalf("seen %v requests of %d", seen, counted)
		}
	})
}

// Labels go while requests that began with them are counted and scraped.
func TestForgettingWhileCounting(t *testing.T) {
	r := New(Options{MaxSeries: 1000})
	var crowd sync.WaitGroup
	for g := range 4 {
		crowd.Go(func() {
			for i := range 1000 {
				name := r.Label(fmt.Sprint("name ", (g+i)%50))
				q := r.Requests(Key{Model: name, Provider: name, APIKey: name})
				q.Done(200+i%5, 0)
				q.Tokens(1, 1, 1, 1)
				r.Provider(name).SetHealthy(false)
				r.Model(name, name).TTFT.Observe(1)
				r.KeyLimits(name, false).Requests.Inc()
				if i%50 == 0 {
					r.Forget(Live{Models: set(name), Providers: set(name), APIKeys: set(name)})
				}
				if i%100 == 0 {
					samples(t, scrape(t, r))
				}
			}
		})
	}
	crowd.Wait()
	r.Forget(Live{})
	r.Forget(Live{})
	for series := range samples(t, scrape(t, r)) {
		if strings.Contains(series, `"name `) {
			t.Errorf("%s is left", series)
		}
	}
}

func set(labels ...Label) map[Label]bool {
	m := map[Label]bool{}
	for _, l := range labels {
		m[l] = true
	}
	return m
}
