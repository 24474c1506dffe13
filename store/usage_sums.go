package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"llmproxy/usage"
)

// usageSpan is a table of sums: each row is over the hour or day that begins at
// the column.
type usageSpan struct {
	table, column string
}

var (
	byHour = usageSpan{"usage_hourly", "hour"}
	byDay  = usageSpan{"usage_daily", "day"}
)

// usageKey is what a row of sums is of.
type usageKey struct {
	from, keyID                     int64 // from is in seconds of Unix time
	model, provider, endpoint, name string
	outcome                         usage.Outcome
}

// usageSum is a row of sums, or what a batch adds to one.
type usageSum struct {
	usageKey
	UsageTotals
	marked *usageBlock // the last block that its marks were put into
}

// UsageTotals are sums over requests.
type UsageTotals struct {
	Requests int64
	// Errors are the requests that ended in error or truncated, or with a
	// status of 400 or more that the client was there to see.
	Errors int64

	Prompt, Completion, Cached, Reasoning int64 // tokens

	CostMicroUSD int64
	Duration     time.Duration
	TTFT         time.Duration // over the TTFTRequests, which streamed content
	TTFTRequests int64
}

// usageSums sums records up.
type usageSums struct {
	byKey  map[usageKey]*usageSum // by the hour
	recent [256]*usageSum         // the latest that look alike: most records need no look into the map
}

func newUsageSums() *usageSums { return &usageSums{byKey: map[usageKey]*usageSum{}} }

// count adds a record to the sum of its hour, and returns that.
func (s *usageSums) count(r *usage.Record) *usageSum {
	at := r.At.Unix()
	k := usageKey{
		from: at - at%3600, keyID: r.APIKeyID, name: r.APIKeyName,
		model: r.Model, provider: r.Provider, endpoint: r.Endpoint, outcome: r.Outcome,
	}
	sum := s.find(&k)
	sum.count(r)
	return sum
}

func (s *usageSums) find(k *usageKey) *usageSum {
	looks := uint(k.keyID)*31 + uint(k.outcome)*7 + uint(len(k.model))*5 + uint(len(k.provider))*3 + uint(len(k.endpoint))
	if n := len(k.model); n > 0 {
		looks += uint(k.model[n-1]) << 3
	}
	recent := &s.recent[looks%uint(len(s.recent))]
	if *recent != nil && (*recent).usageKey == *k {
		return *recent
	}
	sum := s.byKey[*k]
	if sum == nil {
		sum = &usageSum{usageKey: *k}
		s.byKey[*k] = sum
	}
	*recent = sum
	return sum
}

// byHour are the sums in the order of their keys: all gateways take the rows'
// locks in the same order then.
func (s *usageSums) byHour() []*usageSum { return inOrder(s.byKey) }

// byDay are the same, hours of a day together.
func (s *usageSums) byDay() []*usageSum {
	days := make(map[usageKey]*usageSum, len(s.byKey))
	for k, hour := range s.byKey {
		k.from -= k.from % 86400
		if days[k] == nil {
			days[k] = &usageSum{usageKey: k}
		}
		days[k].add(&hour.UsageTotals)
	}
	return inOrder(days)
}

func inOrder(byKey map[usageKey]*usageSum) []*usageSum {
	return slices.SortedFunc(maps.Values(byKey), compareKeys)
}

// add adds other sums.
func (t *UsageTotals) add(o *UsageTotals) {
	t.Requests += o.Requests
	t.Errors += o.Errors
	t.Prompt += o.Prompt
	t.Completion += o.Completion
	t.Cached += o.Cached
	t.Reasoning += o.Reasoning
	t.CostMicroUSD += o.CostMicroUSD
	t.Duration += o.Duration
	t.TTFT += o.TTFT
	t.TTFTRequests += o.TTFTRequests
}

func (t *UsageTotals) count(r *usage.Record) {
	t.Requests++
	if r.Outcome == usage.Failed || r.Outcome == usage.Truncated || r.Outcome != usage.Cancelled && r.Status >= 400 {
		t.Errors++
	}
	t.Prompt += r.Prompt
	t.Completion += r.Completion
	t.Cached += r.Cached
	t.Reasoning += r.Reasoning
	t.CostMicroUSD += r.CostMicroUSD
	t.Duration += r.Duration
	if r.TTFT > 0 {
		t.TTFT += r.TTFT
		t.TTFTRequests++
	}
}

func compareKeys(a, b *usageSum) int {
	return cmp.Or(
		cmp.Compare(a.from, b.from), cmp.Compare(a.keyID, b.keyID), cmp.Compare(a.model, b.model),
		cmp.Compare(a.provider, b.provider), cmp.Compare(a.endpoint, b.endpoint),
		cmp.Compare(a.outcome.String(), b.outcome.String()), cmp.Compare(a.name, b.name),
	)
}

// The columns of sums, behind hour or day.
const (
	usageKeyColumns = `api_key_id, api_key_name, endpoint, model, provider, outcome`
	usageSumColumns = `requests, errors, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
		cost_microusd, duration_us, ttft_us, ttft_requests`
	usageConflict = ` ON CONFLICT (SPAN, api_key_id, model, provider, endpoint, outcome, api_key_name) DO UPDATE SET
		requests = TABLE.requests + excluded.requests,
		errors = TABLE.errors + excluded.errors,
		prompt_tokens = TABLE.prompt_tokens + excluded.prompt_tokens,
		completion_tokens = TABLE.completion_tokens + excluded.completion_tokens,
		cached_tokens = TABLE.cached_tokens + excluded.cached_tokens,
		reasoning_tokens = TABLE.reasoning_tokens + excluded.reasoning_tokens,
		cost_microusd = TABLE.cost_microusd + excluded.cost_microusd,
		duration_us = TABLE.duration_us + excluded.duration_us,
		ttft_us = TABLE.ttft_us + excluded.ttft_us,
		ttft_requests = TABLE.ttft_requests + excluded.ttft_requests`
)

// of writes a statement about TABLE and SPAN for one of the tables.
func (s usageSpan) of(text string) string {
	return strings.NewReplacer("TABLE", s.table, "SPAN", s.column).Replace(text)
}

// texts are the key's columns after api_key_id.
func (k *usageKey) texts() [5]string {
	return [5]string{k.name, k.endpoint, k.model, k.provider, k.outcome.String()}
}

// numbers are the columns of usageSumColumns.
func (t *UsageTotals) numbers() [10]int64 {
	return [10]int64{
		t.Requests, t.Errors, t.Prompt, t.Completion, t.Cached, t.Reasoning,
		t.CostMicroUSD, t.Duration.Microseconds(), t.TTFT.Microseconds(), t.TTFTRequests,
	}
}

// usageColumns are the columns of usage_records, in the order of usageValues.
var usageColumns = []string{
	"at", "id", "api_key_id", "cost_microusd", "ttft_us", "duration_us", "overhead_us",
	"prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
	"status", "attempts", "stream", "request_id", "api_key_name", "endpoint", "model", "upstream_model", "provider",
	"outcome", "detail", "source",
}

// usageValues are a record's columns behind at.
func usageValues(dst []any, r *usage.Record) []any {
	return append(dst, int64(r.ID), r.APIKeyID, r.CostMicroUSD,
		r.TTFT.Microseconds(), r.Duration.Microseconds(), int32(r.Overhead.Microseconds()),
		int32(r.Prompt), int32(r.Completion), int32(r.Cached), int32(r.Reasoning),
		int16(r.Status), int16(r.Attempts), r.Stream,
		r.RequestID, r.APIKeyName, r.Endpoint, r.Model, r.UpstreamModel, r.Provider,
		r.Outcome.String(), detail(r), r.Source.String())
}

func detail(r *usage.Record) string {
	switch r.Outcome {
	case usage.Failed:
		return r.Code
	case usage.Cancelled:
		return r.Phase
	}
	return ""
}
