package balance

import (
	"math"
	"math/rand/v2"
	"testing"
)

// BenchmarkPick shows that the number of items does not matter.
func BenchmarkPick(b *testing.B) {
	f := func(name string, items int) {
		b.Run(name, func(b *testing.B) {
			a := NewAlias(rising(items))
			random := rand.New(rand.NewPCG(1, 2))
			sum, draws := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				sum += a.Pick(random.Uint64())
				draws++
			}
			// Item i has weight i+1: the mean is two thirds of the way up.
			if mean, want := float64(sum)/float64(draws), 2*float64(items-1)/3; draws > 100_000 && math.Abs(mean-want) > 0.02*want {
				b.Fatalf("mean index is %v, want %v", mean, want)
			}
		})
	}
	f("items=3", 3)
	f("items=1000", 1000)
	f("items=10000", 10_000)
}

// BenchmarkNewAlias is what a model with many targets costs a reload.
func BenchmarkNewAlias(b *testing.B) {
	weights := rising(1000)
	b.ReportAllocs()
	for b.Loop() {
		if a := NewAlias(weights); len(a.columns) != len(weights) {
			b.Fatal(len(a.columns))
		}
	}
}
