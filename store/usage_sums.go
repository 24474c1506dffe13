package store

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"llmproxy/usage"
)

// usageSpan is a table of sums: each row is over so much time, which begins at
// the column.
type usageSpan struct {
	table, column string
	length        time.Duration
}

var (
	byHour = usageSpan{"usage_hourly", "hour", time.Hour}
	byDay  = usageSpan{"usage_daily", "day", 24 * time.Hour}
)

// usageKey is what a row of sums is of.
type usageKey struct {
	from                                     time.Time
	keyID                                    int64
	model, provider, endpoint, outcome, name string
}

// usageSum is a row of sums, or what a batch adds to one.
type usageSum struct {
	usageKey
	UsageTotals
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

// sumUp sums records up, in the order of their keys: all gateways take the
// rows' locks in the same order then. Records before from are left out.
func sumUp(records []usage.Record, from time.Time, by usageSpan) []*usageSum {
	byKey := map[usageKey]*usageSum{}
	for i := range records {
		r := &records[i]
		if r.At.Before(from) {
			continue
		}
		k := usageKey{
			from: r.At.UTC().Truncate(by.length), keyID: r.APIKeyID, name: r.APIKeyName,
			model: r.Model, provider: r.Provider, endpoint: r.Endpoint, outcome: r.Outcome.String(),
		}
		sum := byKey[k]
		if sum == nil {
			sum = &usageSum{usageKey: k}
			byKey[k] = sum
		}
		sum.count(r)
	}
	sums := make([]*usageSum, 0, len(byKey))
	for _, sum := range byKey {
		sums = append(sums, sum)
	}
	slices.SortFunc(sums, compareKeys)
	return sums
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
		a.from.Compare(b.from), cmp.Compare(a.keyID, b.keyID), cmp.Compare(a.model, b.model),
		cmp.Compare(a.provider, b.provider), cmp.Compare(a.endpoint, b.endpoint),
		cmp.Compare(a.outcome, b.outcome), cmp.Compare(a.name, b.name),
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
	return [5]string{k.name, k.endpoint, k.model, k.provider, k.outcome}
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
