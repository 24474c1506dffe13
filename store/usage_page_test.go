package store_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"llmproxy/store"
	"llmproxy/usage"
)

// A page far down is found by the index at once: of two bounds from above a
// database may take the wrong one, and of ten million records a page in the
// middle then takes a second.
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
			text, _ := store.LatestQuery(filter, after, 300)
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
