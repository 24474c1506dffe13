package store

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"llmproxy/usage"
)

// Whatever is read as owed sums, nothing panics, a damaged row adds nothing, and
// what is read can be written again.
func FuzzOwed(f *testing.F) {
	sums := newUsageSums()
	sums.count(&usage.Record{At: time.Unix(1_790_000_000, 0), APIKeyID: 7, APIKeyName: "k", Model: "m", Outcome: usage.Cancelled, Prompt: 3, CostMicroUSD: 5})
	sums.count(&usage.Record{At: time.Unix(1_790_007_000, 0), Provider: "p", Endpoint: "/v1", TTFT: time.Second})
	seed := []byte{owedVersion}
	for _, sum := range sums.byHour() {
		seed = appendSum(seed, sum)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := newUsageSums()
		if err := got.addOwed(b); err != nil {
			if len(got.byKey) > 0 {
				t.Fatalf("%v, and yet %d sums", err, len(got.byKey))
			}
			return
		}
		again := []byte{owedVersion}
		for _, sum := range got.byHour() {
			again = appendSum(again, sum)
		}
		back := newUsageSums()
		if err := back.addOwed(again); err != nil || !slices.Equal(slices.Sorted(keysOf(got)), slices.Sorted(keysOf(back))) {
			t.Fatalf("%v: %d sums, %d of them come back", err, len(got.byKey), len(back.byKey))
		}
	})
}

func keysOf(s *usageSums) func(func(string) bool) {
	return func(yield func(string) bool) {
		for sum := range maps.Values(s.byKey) {
			if !yield(string(bytes.Clone(appendSum(nil, sum)))) {
				return
			}
		}
	}
}
