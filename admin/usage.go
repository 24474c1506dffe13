package admin

import (
	"context"
	"slices"
	"time"

	"llmproxy/config"
	"llmproxy/store"
	"llmproxy/usage"
)

// Usage answers what the gateway was used for. Errors are as those of Store.
type Usage interface {
	Sums(ctx context.Context, q store.UsageQuery) ([]store.UsageRow, error)
	Latest(ctx context.Context, f store.UsageFilter, after store.UsageCursor, n int) ([]usage.Record, error)
}

const (
	// reportTimeout is longer than what other answers may take: a report may
	// go over many rows. A database that cannot be reached is noticed sooner.
	reportTimeout = 5 * time.Second

	// maxReports is how many questions about usage the database is asked at
	// once; more wait for their turn, within reportTimeout. The ledger that
	// writes needs connections, too.
	maxReports = 2

	// maxSums is how many rows a report has; the store is asked for one more,
	// which tells whether there are.
	maxSums = store.MaxUsageRows - 1
)

var (
	errNoLedger   = &fault{status: 503, detail: "there is no usage ledger: set USAGE_LEDGER=on"}
	errLedgerAway = &fault{status: 503, detail: "the database of the usage ledger cannot be reached, or did not answer in time"}
)

// figures are sums as answers show them.
type figures struct {
	Requests    int64      `json:"requests"`
	Errors      int64      `json:"errors"`
	Prompt      int64      `json:"prompt_tokens"`
	Completion  int64      `json:"completion_tokens"`
	Cached      int64      `json:"cached_tokens"`
	Reasoning   int64      `json:"reasoning_tokens"`
	Cost        config.USD `json:"cost_usd"`
	AvgDuration *float64   `json:"avg_duration_ms"` // null: of nothing
	AvgTTFT     *float64   `json:"avg_ttft_ms"`     // null: nothing was streamed
}

func viewTotals(t *store.UsageTotals) figures {
	return figures{
		Requests: t.Requests, Errors: t.Errors, Prompt: t.Prompt, Completion: t.Completion, Cached: t.Cached,
		Reasoning: t.Reasoning, Cost: config.USD(t.CostMicroUSD),
		AvgDuration: average(t.Duration, t.Requests), AvgTTFT: average(t.TTFT, t.TTFTRequests),
	}
}

// average is in milliseconds, to the microsecond.
func average(sum time.Duration, n int64) *float64 {
	if n == 0 {
		return nil
	}
	ms := milliseconds(sum / time.Duration(n))
	return &ms
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sumView is a row of a report. What was not grouped by is left out.
type sumView struct {
	Time     *time.Time `json:"time,omitempty"`
	KeyID    *int64     `json:"key_id,omitempty"`
	KeyName  *string    `json:"key_name,omitempty"`
	Model    *string    `json:"model,omitempty"`
	Provider *string    `json:"provider,omitempty"`
	Endpoint *string    `json:"endpoint,omitempty"`
	Outcome  *string    `json:"outcome,omitempty"`
	figures
}

func viewSum(r *store.UsageRow, groups []string) sumView {
	v := sumView{figures: viewTotals(&r.UsageTotals)}
	for _, g := range groups {
		switch g {
		case "day", "hour":
			v.Time = &r.Time
		case "key":
			v.KeyID, v.KeyName = &r.KeyID, &r.KeyName
		case "model":
			v.Model = &r.Model
		case "provider":
			v.Provider = &r.Provider
		case "endpoint":
			v.Endpoint = &r.Endpoint
		case "outcome":
			v.Outcome = &r.Outcome
		}
	}
	return v
}

// report is the answer of GET /admin/v1/usage.
type report struct {
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	GroupBy   []string  `json:"group_by"`
	Totals    figures   `json:"totals"` // of all, those that Rows lacks included
	Rows      []sumView `json:"rows"`
	Truncated bool      `json:"truncated"`
}

// reportUsage answers GET /admin/v1/usage.
func (a *API) reportUsage(x *call) (int, any, error) {
	if a.Usage == nil {
		return 0, nil, errNoLedger
	}
	q := ask(x.http, "from", "to", "group_by", "key", "key_name", "model", "provider", "endpoint", "outcome", "format")
	query := store.UsageQuery{UsageFilter: q.filter(a.Now()), GroupBy: q.groups(), Limit: maxSums + 1}
	csv := q.wantsCSV()
	if err := q.problems.Err(); err != nil {
		return 0, nil, err
	}
	// Sums are kept by the hour: the answer says what it covers.
	query.From, query.To = query.From.Truncate(time.Hour), query.To.Add(time.Hour-1).Truncate(time.Hour)
	ctx, done, err := a.beginReport()
	if err != nil {
		return 0, nil, a.aboutUsage(x, err)
	}
	defer done()
	if err := a.findKey(ctx, q, &query.UsageFilter); err != nil {
		return 0, nil, err
	}
	rows, totals, err := a.sums(ctx, query)
	if err != nil {
		return 0, nil, a.aboutUsage(x, err)
	}
	truncated := len(rows) > maxSums
	rows = rows[:min(len(rows), maxSums)]
	if csv {
		return 200, sumTable(rows, query.GroupBy, truncated), nil
	}
	r := report{
		From: query.From, To: query.To, GroupBy: query.GroupBy, Totals: viewTotals(&totals),
		Rows: make([]sumView, len(rows)), Truncated: truncated,
	}
	for i := range rows {
		r.Rows[i] = viewSum(&rows[i], query.GroupBy)
	}
	return 200, r, nil
}

// sums asks for the rows and what they are together. Only where some are
// missing the database adds up.
func (a *API) sums(ctx context.Context, q store.UsageQuery) (rows []store.UsageRow, totals store.UsageTotals, err error) {
	if rows, err = a.Usage.Sums(ctx, q); err != nil {
		return nil, totals, err
	}
	add := rows
	if len(rows) > maxSums {
		if add, err = a.Usage.Sums(ctx, store.UsageQuery{UsageFilter: q.UsageFilter}); err != nil {
			return nil, totals, err
		}
	}
	for i := range add {
		addTotals(&totals, &add[i].UsageTotals)
	}
	return rows, totals, nil
}

func addTotals(to, t *store.UsageTotals) {
	to.Requests += t.Requests
	to.Errors += t.Errors
	to.Prompt += t.Prompt
	to.Completion += t.Completion
	to.Cached += t.Cached
	to.Reasoning += t.Reasoning
	to.CostMicroUSD += t.CostMicroUSD
	to.Duration += t.Duration
	to.TTFT += t.TTFT
	to.TTFTRequests += t.TTFTRequests
}

// beginReport waits for a turn at the database. done ends it.
func (a *API) beginReport() (ctx context.Context, done func(), err error) {
	ctx, cancel := context.WithTimeout(a.Context, reportTimeout)
	select {
	case a.reports <- struct{}{}:
		return ctx, func() { <-a.reports; cancel() }, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, ctx.Err()
	}
}

// aboutUsage gives the ledger's outages their words.
func (a *API) aboutUsage(x *call, err error) error {
	if !isOutage(err) {
		return err
	}
	a.Log.Error("usage ledger failed", "request_id", x.id, "error", err.Error())
	return errLedgerAway
}

// findKey puts the id of the key of that name into the filter. Keys that are
// gone have no name any more, and are asked for by their ids.
func (a *API) findKey(ctx context.Context, q *question, f *store.UsageFilter) error {
	name, asked := q.given["key_name"]
	if !asked {
		return nil
	}
	all, _, err := a.Store.Credentials(ctx)
	if err != nil {
		return err
	}
	named := slices.DeleteFunc(all, func(c config.Credential) bool { return c.Name != name })
	switch len(named) {
	case 0:
		return config.Problems{{Field: "key_name", Message: "no credential has this name"}}
	case 1:
		f.KeyID = &named[0].ID
		return nil
	}
	return config.Problems{{Field: "key_name", Message: "several credentials have this name: use key with the id of one"}}
}
