package store_test

import (
	"testing"
	"time"

	"llmproxy/usage"
)

// What each key has spent since an hour is the sum over its records from then on.
func TestSpent(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		u := h.usage(t, 30)
		records := drawUsage(60, 1)
		ship(t, u, usage.Batch{Journal: 7, To: 60, Records: records})
		for _, since := range []time.Time{{}, today().Add(-2 * time.Hour), today().Add(48 * time.Hour)} {
			want := map[int64]int64{}
			for _, r := range records {
				if !r.At.Before(since) && r.CostMicroUSD > 0 {
					want[r.APIKeyID] += r.CostMicroUSD
				}
			}
			got, err := u.Spent(ctx(t), since)
			if err != nil || len(got) != len(want) {
				t.Fatalf("since %v: got %v (%v), want %v", since, got, err, want)
			}
			for id, cost := range want {
				if got[id] != cost {
					t.Errorf("since %v, key %d: got %d, want %d", since, id, got[id], cost)
				}
			}
		}
	})
}
