package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"llmproxy/usage"
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
	u.filter(w, f)
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

// UsageCursor is a place among the records, newest first: behind the record
// of this time and id. The zero value is the newest record's.
type UsageCursor struct {
	At time.Time
	ID uint64
}

// Latest returns records, the newest first, from the cursor on, at most n.
func (u *Usage) Latest(ctx context.Context, f UsageFilter, after UsageCursor, n int) ([]usage.Record, error) {
	text, args := u.latestQuery(f, after, n)
	var all []usage.Record
	err := u.db.view(ctx, asking, func(x tx) error {
		found, err := x.query(text, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		all = nil
		for found.Next() {
			r, err := scanUsage(found)
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		return found.Err()
	})
	return all, err
}

func (u *Usage) latestQuery(f UsageFilter, after UsageCursor, n int) (text string, args []any) {
	w := &where{}
	u.filter(w, f)
	for i := range w.terms {
		if i != narrowest(f, len(w.terms)) {
			w.terms[i] = u.db.unindexed(w.terms[i])
		}
	}
	if !f.From.IsZero() {
		w.add("at >= ", u.db.moment(f.From))
	}
	// One bound from above, the lower one: of two, SQLite enters the index at
	// whichever is written first, and goes over all that lies between them.
	switch {
	case !after.At.IsZero() && (f.To.IsZero() || after.At.Before(f.To)):
		at := w.arg(u.db.moment(after.At))
		// Said twice, so that an index on at is entered at the right place.
		w.terms = append(w.terms, "at <= "+at, "(at < "+at+" OR id < "+w.arg(int64(after.ID))+")")
	case !f.To.IsZero():
		w.add("at < ", u.db.moment(f.To))
	}
	return "SELECT " + strings.Join(usageColumns, ", ") + " FROM usage_records" + w.text() +
		" ORDER BY at DESC, id DESC LIMIT " + w.arg(rowLimit(n)), w.args
}

// narrowest guesses which of a filter's n terms the fewest records meet: a
// key's, a rare outcome's, or else the first.
func narrowest(f UsageFilter, n int) int {
	if f.KeyID == nil && f.Outcome != "" && f.Outcome != usage.Complete.String() {
		return n - 1 // the outcome is the last
	}
	return 0
}

func scanUsage(found rows) (usage.Record, error) {
	var (
		r                       usage.Record
		id                      int64
		at                      micros
		ttft, took, overhead    int64
		outcome, detail, source string
	)
	err := found.Scan(&at, &id, &r.APIKeyID, &r.CostMicroUSD, &ttft, &took, &overhead,
		&r.Prompt, &r.Completion, &r.Cached, &r.Reasoning, &r.Status, &r.Attempts, &r.Stream,
		&r.RequestID, &r.APIKeyName, &r.Endpoint, &r.Model, &r.UpstreamModel, &r.Provider, &outcome, &detail, &source)
	if err != nil {
		return r, err
	}
	r.ID, r.At = uint64(id), at.Time
	r.TTFT, r.Duration, r.Overhead = time.Duration(ttft)*time.Microsecond, time.Duration(took)*time.Microsecond, time.Duration(overhead)*time.Microsecond
	r.Outcome, r.Source = usage.ParseOutcome(outcome), usage.ParseSource(source)
	switch r.Outcome {
	case usage.Failed:
		r.Code = detail
	case usage.Cancelled:
		r.Phase = detail
	}
	return r, nil
}

// micros is the column at: a time of PostgreSQL's, or SQLite's microseconds.
type micros struct{ time.Time }

// Scan implements sql.Scanner.
func (m *micros) Scan(value any) error {
	switch v := value.(type) {
	case int64:
		m.Time = time.UnixMicro(v).UTC()
	case time.Time:
		m.Time = v.UTC()
	default:
		return errors.New("at is not a time")
	}
	return nil
}

// where collects the terms of a WHERE and the arguments of a statement.
type where struct {
	terms []string
	args  []any
}

// filter adds what sums and records have in common.
func (u *Usage) filter(w *where, f UsageFilter) {
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
