package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// UsageFilter says which requests are meant: those of all that it names. The
// zero value is all of them.
type UsageFilter struct {
	From, To time.Time // To is not included; zero: no bound
	KeyID    *int64    // of the credential; 0 are requests without one
	Model    string
	Provider string
	Endpoint string
	Outcome  string // ok, rejected, error, truncated or client_gone
}

// UsageQuery asks for sums. They are kept by the hour, so that From is taken
// back to the hour it is in, and To forward to the end of it.
type UsageQuery struct {
	UsageFilter
	GroupBy []string // of UsageGroups; empty: one sum of all
	Limit   int      // rows; 0: MaxUsageRows
}

// MaxUsageRows is how many rows an answer has at most.
const MaxUsageRows = 10_000

// UsageRow is the sum over one group. Of what was not grouped by, the fields
// are zero.
type UsageRow struct {
	Time     time.Time // the beginning of the hour or day (UTC)
	KeyID    int64
	KeyName  string // of the key; of several that it had, the last in the alphabet
	Model    string
	Provider string
	Endpoint string
	Outcome  string
	UsageTotals
}

// usageGroup is a name to group by: its columns, and where they go.
type usageGroup struct {
	name string
	sql  func(u *Usage) string
	dest func(r *UsageRow, seconds *int64) []any
}

func column(name string) func(*Usage) string { return func(*Usage) string { return name } }

// usageGroups are all there are; day and hour exclude each other.
var usageGroups = []usageGroup{
	{"day", func(u *Usage) string { return u.db.secondText("since") + " / 86400 * 86400" }, func(_ *UsageRow, s *int64) []any { return []any{s} }},
	{"hour", func(u *Usage) string { return u.db.secondText("since") }, func(_ *UsageRow, s *int64) []any { return []any{s} }},
	{"key", column("api_key_id"), func(r *UsageRow, _ *int64) []any { return []any{&r.KeyID} }},
	{"model", column("model"), func(r *UsageRow, _ *int64) []any { return []any{&r.Model} }},
	{"provider", column("provider"), func(r *UsageRow, _ *int64) []any { return []any{&r.Provider} }},
	{"endpoint", column("endpoint"), func(r *UsageRow, _ *int64) []any { return []any{&r.Endpoint} }},
	{"outcome", column("outcome"), func(r *UsageRow, _ *int64) []any { return []any{&r.Outcome} }},
}

// UsageGroups are the names that sums can be grouped by.
func UsageGroups() []string {
	var names []string
	for _, g := range usageGroups {
		names = append(names, g.name)
	}
	return names
}

// Sums returns the sums that are asked for: those of a time before those of a
// later one, and the largest number of requests first.
func (u *Usage) Sums(ctx context.Context, q UsageQuery) ([]UsageRow, error) {
	groups, err := q.groups()
	if err != nil {
		return nil, err
	}
	if err := u.db.settled(ctx); err != nil {
		return nil, err
	}
	text, args := u.sumsQuery(q, groups)
	var all []UsageRow
	err = u.db.view(ctx, asking, func(x tx) error {
		found, err := x.query(text, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		all = nil
		for found.Next() {
			row, err := scanSums(found, groups)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return found.Err()
	})
	return all, err
}

func (q *UsageQuery) groups() ([]usageGroup, error) {
	var groups []usageGroup
	for _, g := range usageGroups {
		if slices.Contains(q.GroupBy, g.name) {
			groups = append(groups, g)
		}
	}
	if len(groups) != len(q.GroupBy) || slices.Contains(q.GroupBy, "day") && slices.Contains(q.GroupBy, "hour") {
		return nil, fmt.Errorf("group by: want each once of %s, and only one of day and hour", strings.Join(UsageGroups(), ", "))
	}
	return groups, nil
}

func (u *Usage) sumsQuery(q UsageQuery, groups []usageGroup) (text string, args []any) {
	var columns, orders []string
	for i, g := range groups {
		columns = append(columns, g.sql(u))
		if g.name == "day" || g.name == "hour" {
			orders = append(orders, fmt.Sprint(i+1))
		}
	}
	w, from := &where{}, []string(nil)
	for _, part := range q.parts() {
		from = append(from, u.partQuery(q.UsageFilter, part, w))
	}
	sums := make([]string, 0, 10)
	for _, name := range strings.Split(usageSumColumns, ",") {
		sums = append(sums, "CAST(coalesce(sum("+strings.TrimSpace(name)+"), 0) AS bigint)")
	}
	text = "SELECT " + strings.Join(append(slices.Clone(columns), append(sums, "coalesce(max(api_key_name), '')")...), ", ") +
		" FROM (" + strings.Join(from, " UNION ALL ") + ") AS sums"
	if len(columns) > 0 {
		text += " GROUP BY " + strings.Join(columns, ", ") +
			" ORDER BY " + strings.Join(append(orders, fmt.Sprint(len(columns)+1)+" DESC"), ", ")
	}
	return text + " LIMIT " + w.arg(rowLimit(q.Limit)), w.args
}

// usagePart is a stretch of time whose sums are taken from one table. Zero
// times are no bounds.
type usagePart struct {
	span     usageSpan
	from, to time.Time
}

// parts takes whole days from the sums by the day, and what is left before and
// behind them from those by the hour.
func (q *UsageQuery) parts() []usagePart {
	from, to := q.From, q.To
	if !from.IsZero() {
		from = from.UTC().Truncate(time.Hour)
	}
	if !to.IsZero() {
		to = to.UTC().Add(time.Hour - 1).Truncate(time.Hour)
	}
	first, last := from, to // the whole days
	if !from.IsZero() {
		first = day(from.Add(24*time.Hour - 1))
	}
	if !to.IsZero() {
		last = day(to)
	}
	if slices.Contains(q.GroupBy, "hour") || !from.IsZero() && !to.IsZero() && !first.Before(last) {
		return []usagePart{{byHour, from, to}}
	}
	parts := []usagePart{{byDay, first, last}}
	if first.After(from) {
		parts = append(parts, usagePart{byHour, from, first})
	}
	if to.After(last) {
		parts = append(parts, usagePart{byHour, last, to})
	}
	return parts
}

// partQuery reads one part; its arguments go to all.
func (u *Usage) partQuery(f UsageFilter, part usagePart, all *where) string {
	w := &where{args: all.args}
	w.filter(f)
	if !part.from.IsZero() {
		w.add(part.span.column+" >= ", u.db.second(part.from))
	}
	if !part.to.IsZero() {
		w.add(part.span.column+" < ", u.db.second(part.to))
	}
	all.args = w.args
	return "SELECT " + part.span.column + " AS since, " + usageKeyColumns + ", " + usageSumColumns + " FROM " + part.span.table + w.text()
}

func rowLimit(n int) int64 {
	if n <= 0 || n > MaxUsageRows {
		return MaxUsageRows
	}
	return int64(n)
}

func scanSums(found rows, groups []usageGroup) (UsageRow, error) {
	var row UsageRow
	var seconds, duration, ttft int64
	var dest []any
	byKey := false
	for _, g := range groups {
		dest = append(dest, g.dest(&row, &seconds)...)
		byKey = byKey || g.name == "key"
	}
	t := &row.UsageTotals
	dest = append(dest, &t.Requests, &t.Errors, &t.Prompt, &t.Completion, &t.Cached, &t.Reasoning,
		&t.CostMicroUSD, &duration, &ttft, &t.TTFTRequests, &row.KeyName)
	if err := found.Scan(dest...); err != nil {
		return row, err
	}
	t.Duration, t.TTFT = time.Duration(duration)*time.Microsecond, time.Duration(ttft)*time.Microsecond
	if seconds != 0 {
		row.Time = time.Unix(seconds, 0).UTC()
	}
	if !byKey {
		row.KeyName = ""
	}
	return row, nil
}

// where collects the terms of a WHERE and the arguments of a statement.
type where struct {
	terms []string
	args  []any
}

// filter adds all of a filter but its time.
func (w *where) filter(f UsageFilter) {
	if f.KeyID != nil {
		w.add("api_key_id = ", *f.KeyID)
	}
	for _, t := range []struct{ column, value string }{
		{"model = ", f.Model}, {"provider = ", f.Provider}, {"endpoint = ", f.Endpoint}, {"outcome = ", f.Outcome},
	} {
		if t.value != "" {
			w.add(t.column, t.value)
		}
	}
}

func (w *where) add(before string, value any) { w.terms = append(w.terms, before+w.arg(value)) }

// arg adds an argument and returns its place in the statement.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return fmt.Sprintf("$%d", len(w.args))
}

func (w *where) text() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}
