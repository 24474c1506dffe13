package server_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"llmproxy/usage"
)

// checkMetrics compares the metrics with the sums of the records.
func (s *settled) checkMetrics() {
	want := map[string]float64{}
	for _, l := range s.lines() {
		want[fmt.Sprintf("llm_proxy_requests_total %d", l.Status)]++
	}
	for _, r := range s.sink.all() {
		want["llm_proxy_usage_records_total "+r.Source.String()]++
		if r.Source == usage.None {
			continue
		}
		of := r.Model + " " + r.Provider + " " + r.APIKeyName
		for kind, n := range map[string]int64{"prompt": r.Prompt, "completion": r.Completion, "cached": r.Cached, "reasoning": r.Reasoning} {
			want["llm_proxy_tokens_total "+of+" "+kind] += float64(n)
		}
		want["llm_proxy_cost_usd_total "+of] += float64(r.CostMicroUSD)
	}
	got := map[string]float64{}
	for name, labels := range map[string][]string{
		"llm_proxy_requests_total": {"status_code"}, "llm_proxy_usage_records_total": {"source"},
		"llm_proxy_tokens_total":   {"model", "provider", "api_key_name", "type"},
		"llm_proxy_cost_usd_total": {"model", "provider", "api_key_name"},
	} {
		s.addMetric(got, name, labels)
	}
	maps.DeleteFunc(want, func(_ string, v float64) bool { return v == 0 })
	if !maps.Equal(got, want) {
		s.t.Errorf("the metrics are\n%v\nand the records say\n%v", got, want)
	}
}

// addMetric adds the samples of a metric up by some of its labels; money in
// millionths, zeros left out.
func (s *settled) addMetric(to map[string]float64, name string, labels []string) {
	var page bytes.Buffer
	_, _ = s.metrics.WriteTo(&page)
	for text := range strings.Lines(page.String()) {
		sample, ok := strings.CutPrefix(text, name+"{")
		if !ok {
			continue
		}
		key := name
		for _, label := range labels {
			_, value, _ := strings.Cut(sample, label+`="`)
			key += " " + value[:strings.IndexByte(value, '"')]
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text[strings.LastIndexByte(text, ' '):]), 64)
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(name, "_usd_") {
			v = math.Round(v * 1e6)
		}
		if v != 0 {
			to[key] += v
		}
	}
}

// checkNothingHeld: seats are free, no token is reserved, and purses have paid
// what the records cost.
func (s *settled) checkNothingHeld() {
	spent := map[int64]int64{}
	for _, r := range s.sink.all() {
		spent[r.APIKeyID] += r.CostMicroUSD
	}
	for id, key := range map[int64]string{2: anotherKey, 3: limitedKey} {
		caller := s.live.Table().Caller([]byte(key))
		if n := caller.Seats.Taken(); n != 0 {
			s.t.Errorf("%s: %d seats are taken", caller.Name, n)
		}
		if _, got, _, _ := caller.BudgetState(time.Now().UnixNano()); int64(got) != spent[id] || got == 0 {
			s.t.Errorf("%s: %d are spent, and the records cost %d", caller.Name, got, spent[id])
		}
		// All that there is can be had, but only if nobody holds any of it.
		const all = 1000
		tomorrow := time.Now().Add(24 * time.Hour).UnixNano()
		allowance := s.buckets.Allowance(id, all)
		if n, v := allowance.Reserve(all, tomorrow); !v.OK || n != all || v.Remaining != 0 {
			s.t.Errorf("%s: tokens are held: %+v", caller.Name, v)
		}
	}
}
