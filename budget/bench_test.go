package budget

import (
	"math"
	"testing"
)

// BenchmarkPurse is what a budget costs a request: what it may cost is set
// aside, and settled for what it did cost.
func BenchmarkPurse(b *testing.B) {
	p := purse(math.MaxInt64 / 2)
	paid := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		r, ok := p.Reserve(500, 10)
		if !ok {
			b.Fatalf("refused: %+v", p.State(10))
		}
		r.Settle(300)
		paid += 300
	}
	if got := p.State(10).Spent; got != paid {
		b.Errorf("%d are spent, want %d", got, paid)
	}
}

// BenchmarkSpent is what a key costs whose budget is spent.
func BenchmarkSpent(b *testing.B) {
	p := purse(1000)
	if _, ok := p.Reserve(1000, 10); !ok {
		b.Fatal("the first is refused")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Reserve(1, 11); ok {
			b.Fatal("let in")
		}
	}
}
