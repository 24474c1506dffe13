package store_test

import (
	"testing"
	"time"

	"llmproxy/store"
	"llmproxy/usage"
)

// BenchmarkShip stores batches as the ledger does; an operation is a record.
func BenchmarkShip(b *testing.B) {
	s, err := store.Open(store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	u := store.OpenUsage(s, store.UsageOptions{Dir: b.TempDir(), Days: 30})
	defer u.Close()
	if _, err := u.Tidy(b.Context()); err != nil {
		b.Fatal(err)
	}
	const batch = 500
	stored, began, records := 0, time.Now(), drawUsage(batch, 1)
	for i := 0; b.Loop(); i++ {
		if i%batch == 0 {
			to := int64(i + batch)
			for j := range records {
				records[j].ID, records[j].At = uint64(i+j), began.Add(time.Duration(i+j)*100*time.Microsecond)
			}
			done, err := u.Ship(b.Context(), usage.Batch{Journal: 1, From: int64(i), To: to, Records: records})
			if err != nil || done.Position != to {
				b.Fatalf("%+v, %v", done, err)
			}
			stored += batch
		}
	}
	sums, err := u.Sums(b.Context(), store.UsageQuery{})
	if err != nil || len(sums) != 1 || sums[0].Requests != int64(stored) {
		b.Fatalf("%d stored, sums %+v, %v", stored, sums, err)
	}
}
