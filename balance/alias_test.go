package balance

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The probability of each item, as its share of all that Pick may be given.
func TestProbabilities(t *testing.T) {
	f := func(weights []int, want ...float64) {
		t.Helper()
		got := NewAlias(weights).probabilities()
		for i := range want {
			if math.Abs(got[i]-want[i]) > 0x1p-32 {
				t.Errorf("weights %v: probability of %d is %v, want %v", weights, i, got[i], want[i])
			}
		}
	}
	f([]int{1}, 1)
	f([]int{7}, 1)
	f([]int{1, 1}, .5, .5)
	f([]int{1, 3}, .25, .75)
	f([]int{3, 1, 0}, .75, .25, 0)
	f([]int{0, 1_000_000, 0}, 0, 1, 0)
	f([]int{1, 1_000_000}, 1/1_000_001., 1_000_000/1_000_001.)
	f([]int{1, 2, 3, 4}, .1, .2, .3, .4)

	// All zero: all alike, or else a set of spare providers could not be drawn from.
	f([]int{0}, 1)
	f([]int{0, 0, 0}, 1/3., 1/3., 1/3.)

	// What no configuration should hold still makes a table.
	f([]int{-5, 1}, 0, 1)
	f([]int{-5, -1}, .5, .5)
	f([]int{math.MaxInt, math.MaxInt, 0}, .5, .5, 0)
}

func TestProbabilityIsWeightBySum(t *testing.T) {
	weight := rapid.OneOf(rapid.Just(0), rapid.Just(1), rapid.Just(1_000_000), rapid.IntRange(0, 100), rapid.IntRange(0, MaxWeight))
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(weight, 1, 300).Draw(t, "weights")
		sum := 0
		for _, w := range weights {
			sum += w
		}
		for i, got := range NewAlias(weights).probabilities() {
			want := 1 / float64(len(weights))
			if sum > 0 {
				want = float64(weights[i]) / float64(sum)
			}
			if math.Abs(got-want) > 0x1p-32 {
				t.Fatalf("item %d has probability %v, want %v", i, got, want)
			}
			if sum > 0 && weights[i] == 0 && got != 0 {
				t.Fatalf("item %d of weight 0 has probability %v", i, got)
			}
		}
	})
}

// Pick keeps to the table: numbers at even distances fall on each item as often
// as its probability says.
func TestPickFollowsTheTable(t *testing.T) {
	const draws = 1 << 17
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 1000), 1, 20).Draw(t, "weights")
		a := NewAlias(weights)
		counts := make([]int, len(weights))
		for i := range uint64(draws) {
			counts[a.Pick(i<<47|1<<46)]++
		}
		for i, p := range a.probabilities() {
			// Each column has two edges, where one draw may fall on either side.
			if off := math.Abs(float64(counts[i]) - p*draws); off > 2*float64(len(weights)) {
				t.Fatalf("item %d was picked %d times, want %.1f", i, counts[i], p*draws)
			}
		}
	})
}

// Pearson's test with numbers as they come. The seeds are fixed, so this passes
// or fails for good; one in ten thousand tables that are right would fail.
func TestChiSquare(t *testing.T) {
	f := func(weights []int) {
		t.Helper()
		for seed := range uint64(10) {
			if got, most := chiSquare(weights, seed); got > most {
				t.Errorf("weights %v, seed %d: chi-square is %.1f, want at most %.1f", weights, seed, got, most)
			}
		}
	}
	f([]int{1, 1})
	f([]int{1, 2, 3, 4, 5})
	f([]int{5, 1, 1, 1})
	f([]int{1000, 1})
	f([]int{0, 3, 0, 9, 0, 1})
	f([]int{0, 0, 0, 0})
	f(rising(100))
}

func chiSquare(weights []int, seed uint64) (got, most float64) {
	const draws = 200_000
	a := NewAlias(weights)
	random := rand.New(rand.NewPCG(seed, 1))
	counts := make([]float64, len(weights))
	for range draws {
		counts[a.Pick(random.Uint64())]++
	}
	freedom := -1.
	for i, p := range a.probabilities() {
		want := p * draws
		if want == 0 {
			if counts[i] > 0 {
				return math.Inf(1), 0
			}
			continue
		}
		got += (counts[i] - want) * (counts[i] - want) / want
		freedom++
	}
	return got, quantile(freedom)
}

// quantile is about the 99.99th percentile of the chi-square distribution
// (Wilson and Hilferty, 1931).
func quantile(freedom float64) float64 {
	const z = 3.719
	v := 2 / (9 * freedom)
	return freedom * math.Pow(1-v+z*math.Sqrt(v), 3)
}

func TestPickFromNothingIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewAlias(nil).Pick(0)
}

func TestLen(t *testing.T) {
	if n := NewAlias([]int{1, 0, 2}).Len(); n != 3 {
		t.Errorf("got %d, want 3", n)
	}
	if n := NewAlias(nil).Len(); n != 0 {
		t.Errorf("got %d, want 0", n)
	}
}

// The weights belong to the caller, who may change them afterwards.
func TestNewAliasLeavesTheWeights(t *testing.T) {
	weights := []int{3, 0, 1}
	NewAlias(weights)
	if weights[0] != 3 || weights[1] != 0 || weights[2] != 1 {
		t.Errorf("weights became %v", weights)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	a := NewAlias(rising(100))
	if n := testing.AllocsPerRun(1000, func() { a.Pick(rand.Uint64()) }); n != 0 {
		t.Errorf("allocations per pick: %v", n)
	}
}

// probabilities reads each item's probability from the table.
func (a *Alias) probabilities() []float64 {
	p := make([]float64, len(a.columns))
	for i, c := range a.columns {
		own := float64(c.threshold) / 0x1p64
		p[i] += own / float64(len(p))
		p[c.alias] += (1 - own) / float64(len(p))
	}
	return p
}

func rising(n int) []int {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = i + 1
	}
	return weights
}
