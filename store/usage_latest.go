package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"llmproxy/usage"
)

// UsageCursor is a place among the records, newest first: behind the record
// of this time and id. The zero value is the newest record's.
type UsageCursor struct {
	At time.Time
	ID uint64
}

// Latest returns records, the newest first, from the cursor on, at most n.
func (u *Usage) Latest(ctx context.Context, f UsageFilter, after UsageCursor, n int) ([]usage.Record, error) {
	return u.db.latest(ctx, f, after, n)
}

// latest implements usageDialect.
func (p *usagePostgres) latest(ctx context.Context, f UsageFilter, after UsageCursor, n int) ([]usage.Record, error) {
	text, args := latestQuery(f, after, n)
	var all []usage.Record
	err := p.view(ctx, asking, func(x tx) error {
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

func latestQuery(f UsageFilter, after UsageCursor, n int) (text string, args []any) {
	w := &where{}
	w.filter(f)
	if !f.From.IsZero() {
		w.add("at >= ", f.From.UTC())
	}
	// One bound from above, the lower one: of two, an index may be entered at
	// the wrong one, and gone over all that lies between them.
	switch {
	case !after.At.IsZero() && (f.To.IsZero() || after.At.Before(f.To)):
		at := w.arg(after.At.UTC())
		// Said twice, so that an index on at is entered at the right place.
		w.terms = append(w.terms, "at <= "+at, "(at < "+at+" OR id < "+w.arg(int64(after.ID))+")")
	case !f.To.IsZero():
		w.add("at < ", f.To.UTC())
	}
	return "SELECT " + strings.Join(usageColumns, ", ") + " FROM usage_records" + w.text() +
		fmt.Sprintf(" ORDER BY at DESC, id DESC LIMIT %s", w.arg(rowLimit(n))), w.args
}

func scanUsage(found rows) (usage.Record, error) {
	var (
		r                       usage.Record
		id                      int64
		ttft, took, overhead    int64
		outcome, detail, source string
	)
	err := found.Scan(&r.At, &id, &r.APIKeyID, &r.CostMicroUSD, &ttft, &took, &overhead,
		&r.Prompt, &r.Completion, &r.Cached, &r.Reasoning, &r.Status, &r.Attempts, &r.Stream,
		&r.RequestID, &r.APIKeyName, &r.Endpoint, &r.Model, &r.UpstreamModel, &r.Provider, &outcome, &detail, &source)
	if err != nil {
		return r, err
	}
	r.ID, r.At = uint64(id), r.At.UTC()
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
