package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"llmproxy/internal/pgtest"
	"llmproxy/store"
	"llmproxy/usage"
)

const usageFile = "usage.db"

// usageHome is a home with its usage opened, and a hand in it.
func (h *home) usage(t *testing.T, days int) *store.Usage {
	t.Helper()
	u := store.OpenUsage(h.open(t), store.UsageOptions{Dir: h.options.Dir, Days: days})
	t.Cleanup(u.Close)
	if _, err := u.Tidy(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if h.options.URL == "" {
		h.hand = handOn(t, "sqlite", filepath.Join(h.options.Dir, usageFile))
	}
	return u
}

// today is noon, so that a few minutes more or less are the same day.
func today() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour) }

// drawUsage makes records of few names within some hours, not in order.
func drawUsage(n int, first uint64) []usage.Record {
	records := make([]usage.Record, n)
	for i := range records {
		k := int(first) + i
		r := usage.Record{
			ID: uint64(k), RequestID: fmt.Sprint("req-", k), At: today().Add(-time.Duration(k*k%300) * time.Minute),
			APIKeyID: int64(k % 3), APIKeyName: []string{"anonymous", "alice", "bob"}[k%3],
			Endpoint: []string{"/v1/chat/completions", "/v1/embeddings"}[k%2], Model: []string{"gpt-5", "o4-mini"}[k/2%2],
			UpstreamModel: "m", Provider: []string{"east", "west"}[k/4%2], Status: []int{200, 200, 429, 502}[k/8%4],
			Stream: k%2 == 0, Attempts: 1 + k%2, Outcome: usage.Outcome(k % 5), Source: usage.Source(k / 3 % 5),
			Prompt: int64(k), Completion: 7, Cached: 3, Reasoning: 2, CostMicroUSD: int64(k % 11),
			TTFT: time.Duration(k%2) * time.Millisecond, Duration: time.Second, Overhead: 50 * time.Microsecond,
		}
		switch r.Outcome {
		case usage.Failed:
			r.Code = "upstream_timeout"
		case usage.Cancelled:
			r.Phase = "event"
		}
		records[i] = r
	}
	return records
}

func ship(t *testing.T, u *store.Usage, b usage.Batch) usage.Shipped {
	t.Helper()
	done, err := u.Ship(ctx(t), b)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// What was shipped comes back, newest first, to the last field.
func TestUsageComesBackAsItWas(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		records := drawUsage(40, 1)
		if done := ship(t, u, usage.Batch{Journal: 1 << 62, To: 100, Records: records}); done.Position != 100 || done.Already || done.Expired != 0 {
			t.Errorf("shipped: %+v", done)
		}
		sortNewest(records)
		got, err := u.Latest(ctx(t), store.UsageFilter{}, store.UsageCursor{}, 100)
		if err != nil || !reflect.DeepEqual(got, records) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, records)
		}
	})
}

func sortNewest(records []usage.Record) {
	slices.SortFunc(records, func(a, b usage.Record) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
}

// R38: a batch that is shipped again, because its answer was lost, is not
// stored again, whether it has grown meanwhile or not.
func TestABatchIsStoredOnce(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		records := drawUsage(30, 1)
		f := func(journal uint64, from, to int64, want usage.Shipped, count int) {
			t.Helper()
			if got := ship(t, u, usage.Batch{Journal: journal, From: from, To: to, Records: records[from:to]}); got != want {
				t.Errorf("shipped %d to %d of %d: %+v, want %+v", from, to, journal, got, want)
			}
			sums, err := u.Sums(ctx(t), store.UsageQuery{})
			if err != nil || len(sums) != 1 || sums[0].Requests != int64(count) {
				t.Errorf("%v, sums %+v, want %d requests", err, sums, count)
			}
			if got := stored(t, u); got != count {
				t.Errorf("%d records, want %d", got, count)
			}
		}
		f(7, 0, 10, usage.Shipped{Position: 10}, 10)
		f(7, 0, 10, usage.Shipped{Position: 10, Already: true}, 10)
		f(7, 0, 20, usage.Shipped{Position: 10, Already: true}, 10) // go on at 10
		f(7, 10, 20, usage.Shipped{Position: 20}, 20)
		f(8, 20, 30, usage.Shipped{Position: 30}, 30) // a journal whose beginning is gone
		f(8, 20, 21, usage.Shipped{Position: 30, Already: true}, 30)
		if err := u.Forget(ctx(t), 7); err != nil {
			t.Fatal(err)
		}
		if got := h.count(t, "usage_journals"); got != 1 {
			t.Errorf("%d journals are noted", got)
		}
	})
}

// stored is how many records there are, and that none is there twice.
func stored(t *testing.T, u *store.Usage) int {
	t.Helper()
	ids, after := map[uint64]bool{}, store.UsageCursor{}
	for {
		page, err := u.Latest(ctx(t), store.UsageFilter{}, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			if ids[r.ID] {
				t.Errorf("record %d is there twice", r.ID)
			}
			ids[r.ID] = true
		}
		if len(page) < 1000 {
			return len(ids)
		}
		last := page[len(page)-1]
		after = store.UsageCursor{At: last.At, ID: last.ID}
	}
}

func (h *home) count(t *testing.T, table string) (n int) {
	t.Helper()
	if err := h.hand.QueryRowContext(ctx(t), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// filters are one of each, and all together.
func filters() map[string]store.UsageFilter {
	alice := int64(1)
	f := map[string]store.UsageFilter{
		"all": {}, "key": {KeyID: &alice}, "model": {Model: "gpt-5"}, "provider": {Provider: "west"},
		"endpoint": {Endpoint: "/v1/embeddings"}, "outcome": {Outcome: "error"},
		"time": {From: today().Add(-200 * time.Minute), To: today().Add(-20 * time.Minute)},
	}
	f["together"] = store.UsageFilter{
		From: f["time"].From, To: f["time"].To, KeyID: &alice, Model: "gpt-5", Provider: "west", Endpoint: "/v1/embeddings", Outcome: "truncated",
	}
	return f
}

func meant(f store.UsageFilter, r usage.Record) bool {
	return (f.KeyID == nil || *f.KeyID == r.APIKeyID) && (f.Model == "" || f.Model == r.Model) &&
		(f.Provider == "" || f.Provider == r.Provider) && (f.Endpoint == "" || f.Endpoint == r.Endpoint) &&
		(f.Outcome == "" || f.Outcome == r.Outcome.String()) &&
		(f.From.IsZero() || !r.At.Before(f.From)) && (f.To.IsZero() || r.At.Before(f.To))
}

// Page after page gives every record that is meant once, in order, though many
// are of the same time.
func TestLatestUsageByPages(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		records := drawUsage(400, 1)
		ship(t, u, usage.Batch{Journal: 1, To: 1, Records: records})
		for name, f := range filters() {
			var want, got []usage.Record
			for _, r := range records {
				if meant(f, r) {
					want = append(want, r)
				}
			}
			sortNewest(want)
			for after := (store.UsageCursor{}); ; {
				page, err := u.Latest(ctx(t), f, after, 17)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page...)
				if len(page) < 17 {
					break
				}
				last := page[len(page)-1]
				after = store.UsageCursor{At: last.At, ID: last.ID}
			}
			if len(want) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %d records, want %d", name, len(got), len(want))
			}
		}
	})
}

// Sums are what adding up the records gives, however they are grouped.
func TestUsageSumsAreThoseOfTheRecords(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		records := drawUsage(300, 1)
		for i := range records {
			records[i].At = today().Add(-time.Duration(i*i%6000) * time.Minute) // over some days
		}
		for i := range 3 { // sums are added to
			ship(t, u, usage.Batch{Journal: 1, From: int64(i), To: int64(i + 1), Records: records[100*i : 100*(i+1)]})
		}
		groups := store.UsageGroups()
		all := filters()
		rapid.Check(t, func(rt *rapid.T) {
			q := store.UsageQuery{UsageFilter: all[rapid.SampledFrom([]string{"all", "key", "model", "provider", "endpoint", "outcome", "time", "together"}).Draw(rt, "filter")]}
			bound := rapid.Map(rapid.IntRange(-6100, 2000), func(minutes int) time.Time { return today().Add(time.Duration(minutes) * time.Minute) })
			if rapid.Bool().Draw(rt, "from") {
				q.From = bound.Draw(rt, "since")
			}
			if rapid.Bool().Draw(rt, "to") {
				q.To = bound.Draw(rt, "until")
			}
			for _, g := range groups {
				if rapid.Bool().Draw(rt, g) && !(g == "hour" && slices.Contains(q.GroupBy, "day")) {
					q.GroupBy = append(q.GroupBy, g)
				}
			}
			got, err := u.Sums(ctx(t), q)
			if err != nil {
				rt.Fatal(err)
			}
			want := sumsOf(q, records)
			if !reflect.DeepEqual(byGroup(got), want) {
				rt.Fatalf("%+v\n got %+v\nwant %+v", q, byGroup(got), want)
			}
			if !slices.IsSortedFunc(got, func(a, b store.UsageRow) int {
				return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(b.Requests, a.Requests))
			}) {
				rt.Fatalf("%+v is out of order: %+v", q, got)
			}
		})
		if _, err := u.Sums(ctx(t), store.UsageQuery{GroupBy: []string{"model; DROP TABLE usage_hourly"}}); err == nil {
			t.Error("an unknown group is taken")
		}
		if _, err := u.Sums(ctx(t), store.UsageQuery{GroupBy: []string{"day", "hour"}}); err == nil {
			t.Error("day and hour are taken")
		}
		if rows, err := u.Sums(ctx(t), store.UsageQuery{GroupBy: []string{"hour"}, Limit: 2}); err != nil || len(rows) != 2 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	})
}

// sumsOf is the slow way.
func sumsOf(q store.UsageQuery, records []usage.Record) map[store.UsageRow]store.UsageTotals {
	hours := q.UsageFilter
	hours.From = hours.From.Truncate(time.Hour)
	if !hours.To.IsZero() {
		hours.To = hours.To.Add(time.Hour - 1).Truncate(time.Hour)
	}
	sums := map[store.UsageRow]store.UsageTotals{}
	if len(q.GroupBy) == 0 {
		sums[store.UsageRow{}] = store.UsageTotals{}
	}
	for _, r := range records {
		if !meant(hours, r) {
			continue
		}
		var g store.UsageRow
		for _, name := range q.GroupBy {
			switch name {
			case "day":
				g.Time = r.At.Truncate(24 * time.Hour)
			case "hour":
				g.Time = r.At.Truncate(time.Hour)
			case "key":
				g.KeyID, g.KeyName = r.APIKeyID, r.APIKeyName
			case "model":
				g.Model = r.Model
			case "provider":
				g.Provider = r.Provider
			case "endpoint":
				g.Endpoint = r.Endpoint
			case "outcome":
				g.Outcome = r.Outcome.String()
			}
		}
		t := sums[g]
		t.Requests++
		switch {
		case r.Outcome == usage.Failed, r.Outcome == usage.Truncated:
			t.Errors++
		case r.Outcome != usage.Cancelled && r.Status >= 400:
			t.Errors++
		}
		t.Prompt, t.Completion, t.Cached, t.Reasoning = t.Prompt+r.Prompt, t.Completion+7, t.Cached+3, t.Reasoning+2
		t.CostMicroUSD, t.Duration = t.CostMicroUSD+r.CostMicroUSD, t.Duration+r.Duration
		if r.TTFT > 0 {
			t.TTFT, t.TTFTRequests = t.TTFT+r.TTFT, t.TTFTRequests+1
		}
		sums[g] = t
	}
	return sums
}

func byGroup(rows []store.UsageRow) map[store.UsageRow]store.UsageTotals {
	sums := map[store.UsageRow]store.UsageTotals{}
	for _, r := range rows {
		totals := r.UsageTotals
		r.UsageTotals = store.UsageTotals{}
		sums[r] = totals
	}
	return sums
}

// Gateways that add to the same sums at the same time wait for each other and
// lose nothing; none runs into a deadlock that it does not come out of.
func TestUsageOfSeveralGatewaysAtOnce(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		const gateways, batches, each = 4, 5, 50
		u := h.usage(t, 30)
		var working sync.WaitGroup
		for g := range gateways {
			working.Go(func() {
				for b := 0; b < batches; {
					_, err := u.Ship(ctx(t), usage.Batch{
						Journal: uint64(g + 1), From: int64(b), To: int64(b + 1), Records: drawUsage(each, uint64(1+g*1000+b*100)),
					})
					switch {
					case err == nil:
						b++
					case !errors.Is(err, store.ErrUnavailable):
						t.Error(err)
						return
					}
				}
			})
		}
		working.Wait()
		sums, err := u.Sums(ctx(t), store.UsageQuery{})
		if want := int64(gateways * batches * each); err != nil || sums[0].Requests != want || stored(t, u) != int(want) {
			t.Errorf("%v, %+v, want %d", err, sums, want)
		}
	})
}

// Records are kept for so many days: later ones are not stored, and those that
// are there are removed, for PostgreSQL with their whole partition. Sums stay.
func TestOldUsageIsRemoved(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		long := h.usage(t, 20)
		records := drawUsage(20, 1)
		for i := range records {
			records[i].At = today().AddDate(0, 0, -i)
		}
		if done := ship(t, long, usage.Batch{Journal: 1, To: 1, Records: records}); done.Expired != 0 {
			t.Errorf("%+v", done)
		}
		short := store.OpenUsage(h.openBare(t), store.UsageOptions{Dir: h.options.Dir, Days: 10})
		t.Cleanup(short.Close)
		for more := true; more; {
			var err error
			if more, err = short.Tidy(ctx(t)); err != nil {
				t.Fatal(err)
			}
		}
		if got := stored(t, short); got != 11 { // ten whole days and today
			t.Errorf("%d records are left", got)
		}
		if h.options.URL == "" {
			var gives int
			if err := h.hand.QueryRow("PRAGMA auto_vacuum").Scan(&gives); err != nil || gives != 2 {
				t.Errorf("the file does not give back room: auto_vacuum is %d, %v", gives, err)
			}
		}
		old := []usage.Record{records[0], records[19]}
		old[0].ID, old[1].ID = 21, 22
		old[1].At = today().AddDate(0, 0, -500) // so old that it does not even count
		if done := ship(t, short, usage.Batch{Journal: 1, From: 1, To: 2, Records: old}); done.Expired != 1 || stored(t, short) != 12 {
			t.Errorf("%+v", done)
		}
		sums, err := short.Sums(ctx(t), store.UsageQuery{})
		if err != nil || sums[0].Requests != 21 {
			t.Errorf("%v, %+v", err, sums)
		}
	})
}

// A partition that somebody drops is made again.
func TestADroppedPartitionIsMadeAgain(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	u := h.usage(t, 30)
	ship(t, u, usage.Batch{Journal: 1, To: 1, Records: drawUsage(3, 1)})
	h.edit(t, "DROP TABLE usage_records_p"+today().Format("20060102"))
	b := usage.Batch{Journal: 1, From: 1, To: 2, Records: drawUsage(3, 4)}
	if _, err := u.Ship(ctx(t), b); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	ship(t, u, b)
	if n := stored(t, u); n != 3 {
		t.Errorf("%d records", n)
	}
}

// A record takes less than 300 bytes in the database, its indexes aside.
func TestAUsageRowIsNarrow(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	u := h.usage(t, 30)
	records := drawUsage(2000, 1)
	for i := range records {
		r := &records[i]
		r.RequestID, r.APIKeyName = fmt.Sprintf("0b6f4b0e-7a36-4b8f-9d4d-%012d", i), "team-search-production"
		r.Model, r.UpstreamModel, r.Provider = "gpt-5-mini", "gpt-5-mini-2026-08-07", "openai-main"
	}
	ship(t, u, usage.Batch{Journal: 1, To: 1, Records: records})
	var size, whole int
	if err := h.hand.QueryRow("SELECT max(pg_column_size(r.*)) FROM usage_records r").Scan(&size); err != nil {
		t.Fatal(err)
	}
	if err := h.hand.QueryRow("SELECT pg_total_relation_size('usage_records_p" + today().Format("20060102") + "')").Scan(&whole); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes a row, %d with its indexes", size, whole/len(records))
	if size > 300 {
		t.Errorf("a row takes %d bytes", size)
	}
}

// What a fleet writes is found by an index, whichever filter is asked for.
func TestLatestUsageScansNoTable(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	u := h.usage(t, 30)
	shipModels(t, u, 20_000) // so many that PostgreSQL finds an index worth its while
	h.edit(t, "ANALYZE")     // as PostgreSQL does by itself
	for name, f := range filters() {
		if f.Model != "" {
			f.Model = "model-7"
		}
		for _, after := range []store.UsageCursor{{}, {At: today().Add(-time.Hour), ID: 3600}} {
			text, args := store.LatestQuery(f, after, 50)
			if plan := h.explain(t, text, args); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index") {
				t.Errorf("latest by %s: %s\n%s", name, text, plan)
			}
		}
	}
}

// Sums come from the rows by the hour and the day, and never from the records.
func TestUsageSumsReadNoRecord(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		shipModels(t, u, 100)
		for name, f := range filters() {
			text, args := u.SumsQuery(store.UsageQuery{UsageFilter: f, GroupBy: []string{"day", "model"}})
			plan := h.explain(t, text, args)
			if strings.Contains(plan, "usage_records") || strings.Contains(plan, "usage_blocks") ||
				!strings.Contains(plan, "usage_hourly") && !strings.Contains(plan, "usage_daily") {
				t.Errorf("sums by %s:\n%s", name, plan)
			}
		}
	})
}

// shipModels stores a record of each of the last n seconds, of 50 models.
func shipModels(t *testing.T, u *store.Usage, n int) {
	t.Helper()
	records := drawUsage(n, 1)
	for i := range records {
		records[i].At = today().Add(-time.Duration(i) * time.Second)
		records[i].Model = fmt.Sprint("model-", i%50)
	}
	ship(t, u, usage.Batch{Journal: 1, To: 1, Records: records})
}

func (h *home) explain(t *testing.T, text string, args []any) string {
	t.Helper()
	how, width := "EXPLAIN ", 1
	if h.options.URL == "" {
		how, width = "EXPLAIN QUERY PLAN ", 4
	}
	found, err := h.hand.QueryContext(ctx(t), how+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var plan strings.Builder
	for found.Next() {
		columns := make([]any, width)
		var line string
		for i := range columns {
			columns[i] = new(any)
		}
		columns[width-1] = &line
		if err := found.Scan(columns...); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	return plan.String()
}
