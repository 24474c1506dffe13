package store_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"llmproxy/store"
	"llmproxy/usage"
)

// A page far down is found by the index at once: of two bounds from above
// SQLite took the wrong one, and of ten million records a page in the middle
// took a second.
func TestAPageHasOneBoundFromAbove(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		records := drawUsage(300, 1)
		ship(t, u, usage.Batch{Journal: 1, To: 1, Records: records})
		sortNewest(records)
		middle := records[150]
		f := func(to time.Time, after store.UsageCursor, bound string) {
			t.Helper()
			filter := store.UsageFilter{From: today().AddDate(0, 0, -2), To: to}
			text, _ := u.LatestQuery(filter, after, 300)
			outside, _, _ := strings.Cut(text, "(at <")
			if strings.Count(outside, "at <") != 1 || !strings.Contains(outside, bound) {
				t.Errorf("%v, %+v: %s", to, after, text)
			}
			var want []usage.Record
			for _, r := range records {
				behind := r.At.Before(after.At) || r.At.Equal(after.At) && r.ID < after.ID
				if r.At.Before(to) && (behind || after.At.IsZero()) {
					want = append(want, r)
				}
			}
			if got, err := u.Latest(ctx(t), filter, after, 300); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%v, %+v: %d records, %v, want %d", to, after, len(got), err, len(want))
			}
		}
		cursor := store.UsageCursor{At: middle.At, ID: middle.ID}
		f(today().Add(time.Hour), cursor, "at <= ")
		f(middle.At.Add(time.Microsecond), cursor, "at <= ")
		f(middle.At, cursor, "at < ")
		f(middle.At.Add(-time.Hour), cursor, "at < ")
		f(middle.At, store.UsageCursor{}, "at < ")
	})
}

// Of several indexes SQLite, which counts nothing by itself, enters the one
// that is likely to be the narrowest; it used to take the last, and a model's
// typing error went over all records of the endpoint.
func TestAPageEntersTheNarrowestIndex(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	key := int64(1)
	f := func(f store.UsageFilter, index string) {
		t.Helper()
		f.From, f.To = today().AddDate(0, 0, -1), today()
		text, args := u.LatestQuery(f, store.UsageCursor{}, 10)
		if plan := h.explain(t, text, args); !strings.Contains(plan, "USING INDEX usage_records_"+index+" ") {
			t.Errorf("%+v:\n%s", f, plan)
		}
	}
	f(store.UsageFilter{}, "at")
	f(store.UsageFilter{KeyID: &key, Model: "m", Provider: "p", Endpoint: "e", Outcome: "error"}, "api_key")
	f(store.UsageFilter{Model: "m", Provider: "p", Endpoint: "e", Outcome: "ok"}, "model")
	f(store.UsageFilter{Model: "m", Provider: "p", Endpoint: "e", Outcome: "error"}, "outcome")
	f(store.UsageFilter{Provider: "p", Endpoint: "e"}, "provider")
	f(store.UsageFilter{Endpoint: "e", Outcome: "ok"}, "endpoint")
	f(store.UsageFilter{Outcome: "ok"}, "outcome")
}
