package loadgen

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQuantilesAreThoseOfTheSortedSamples: never less than the exact quantile
// (the least sample that so large a share does not exceed), and at most 1/1024
// more; the same when the samples were counted apart and merged.
func TestQuantilesAreThoseOfTheSortedSamples(t *testing.T) {
	sample := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, int64(time.Minute)), rapid.Int64Min(0))
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(sample, 1, 300).Draw(t, "samples")
		cut := rapid.IntRange(0, len(samples)).Draw(t, "cut")
		var h, other Histogram
		for i, v := range samples {
			into := &h
			if i >= cut {
				into = &other
			}
			into.Record(time.Duration(v))
		}
		h.Merge(&other)
		slices.Sort(samples)
		for _, permille := range []int{0, 1, 70, 500, 900, 990, 999, 1000} {
			rank := max(1, (permille*len(samples)+999)/1000)
			exact := samples[rank-1]
			got := int64(h.Quantile(float64(permille) / 1000))
			if got < exact || got-exact > exact/fine {
				t.Fatalf("quantile %d/1000 of %d: %d, want %d", permille, samples, got, exact)
			}
		}
		if h.Count() != int64(len(samples)) || int64(h.Max()) != samples[len(samples)-1] {
			t.Fatalf("count %d, max %d of %d", h.Count(), h.Max(), samples)
		}
	})
}

func TestAnEmptyHistogramHasNoTimes(t *testing.T) {
	var h Histogram
	if h.Count() != 0 || h.Max() != 0 || h.Quantile(0.99) != 0 {
		t.Errorf("count %d, max %v, p99 %v", h.Count(), h.Max(), h.Quantile(0.99))
	}
}

// TestBucketsAreInARow: each duration lies in the bucket whose edges hold it,
// and buckets leave no gap.
func TestBucketsAreInARow(t *testing.T) {
	for i := range bucket(1<<63-1) + 1 {
		top := ceiling(i)
		if bucket(top) != i || top < 1<<63-1 && bucket(top+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d; the next in %d", i, top, bucket(top), bucket(top+1))
		}
	}
}
