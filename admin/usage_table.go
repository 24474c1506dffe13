package admin

import (
	"strconv"
	"time"

	"llmproxy/store"
	"llmproxy/usage"
)

func moment(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

var timeColumn = column[store.UsageRow]{"time", func(r *store.UsageRow) string { return moment(r.Time) }}

// groupColumns are what each name of group_by adds to a report.
var groupColumns = map[string][]column[store.UsageRow]{
	"day":  {timeColumn},
	"hour": {timeColumn},
	"key": {
		{"key_id", func(r *store.UsageRow) string { return number(r.KeyID) }},
		{"key_name", func(r *store.UsageRow) string { return cell(r.KeyName) }},
	},
	"model":    {{"model", func(r *store.UsageRow) string { return cell(r.Model) }}},
	"provider": {{"provider", func(r *store.UsageRow) string { return cell(r.Provider) }}},
	"endpoint": {{"endpoint", func(r *store.UsageRow) string { return cell(r.Endpoint) }}},
	"outcome":  {{"outcome", func(r *store.UsageRow) string { return cell(r.Outcome) }}},
}

var figureColumns = []column[store.UsageRow]{
	{"requests", func(r *store.UsageRow) string { return number(r.Requests) }},
	{"errors", func(r *store.UsageRow) string { return number(r.Errors) }},
	{"prompt_tokens", func(r *store.UsageRow) string { return number(r.Prompt) }},
	{"completion_tokens", func(r *store.UsageRow) string { return number(r.Completion) }},
	{"cached_tokens", func(r *store.UsageRow) string { return number(r.Cached) }},
	{"reasoning_tokens", func(r *store.UsageRow) string { return number(r.Reasoning) }},
	{"cost_usd", func(r *store.UsageRow) string { return viewTotals(&r.UsageTotals).Cost.String() }},
	{"avg_duration_ms", func(r *store.UsageRow) string { return amount(average(r.Duration, r.Requests)) }},
	{"avg_ttft_ms", func(r *store.UsageRow) string { return amount(average(r.TTFT, r.TTFTRequests)) }},
}

// sumTable is a report as CSV: the columns of its groups, then the figures.
func sumTable(rows []store.UsageRow, groups []string, truncated bool) *table {
	var columns []column[store.UsageRow]
	for _, name := range store.UsageGroups() { // in the order of the JSON, not of the question
		for _, g := range groups {
			if g == name {
				columns = append(columns, groupColumns[g]...)
			}
		}
	}
	t := tableOf("usage", append(columns, figureColumns...), rows)
	if truncated {
		t.more = [2]string{"X-Truncated", "true"}
	}
	return t
}

var requestColumns = []column[requestView]{
	{"request_id", func(r *requestView) string { return cell(r.RequestID) }},
	{"at", func(r *requestView) string { return moment(r.At) }},
	{"api_key_id", func(r *requestView) string { return number(r.KeyID) }},
	{"api_key_name", func(r *requestView) string { return cell(r.KeyName) }},
	{"endpoint", func(r *requestView) string { return cell(r.Endpoint) }},
	{"model", func(r *requestView) string { return cell(r.Model) }},
	{"upstream_model", func(r *requestView) string { return cell(r.UpstreamModel) }},
	{"provider", func(r *requestView) string { return cell(r.Provider) }},
	{"status", func(r *requestView) string { return strconv.Itoa(r.Status) }},
	{"stream", func(r *requestView) string { return strconv.FormatBool(r.Stream) }},
	{"attempts", func(r *requestView) string { return strconv.Itoa(r.Attempts) }},
	{"prompt_tokens", func(r *requestView) string { return number(r.Prompt) }},
	{"completion_tokens", func(r *requestView) string { return number(r.Completion) }},
	{"cached_tokens", func(r *requestView) string { return number(r.Cached) }},
	{"reasoning_tokens", func(r *requestView) string { return number(r.Reasoning) }},
	{"source", func(r *requestView) string { return cell(r.Source) }},
	{"ttft_ms", func(r *requestView) string { return amount(r.TTFT) }},
	{"duration_ms", func(r *requestView) string { return amount(&r.Duration) }},
	{"overhead_us", func(r *requestView) string { return number(r.Overhead) }},
	{"outcome", func(r *requestView) string { return cell(r.Outcome) }},
	{"cost_usd", func(r *requestView) string { return r.Cost.String() }},
}

// requestTable is a page of records as CSV; the next page's cursor is a header
// line of the answer.
func requestTable(records []usage.Record, next *string) *table {
	views := make([]requestView, len(records))
	for i := range records {
		views[i] = viewRequest(&records[i])
	}
	t := tableOf("requests", requestColumns, views)
	if next != nil {
		t.more = [2]string{"X-Next-Cursor", *next}
	}
	return t
}
