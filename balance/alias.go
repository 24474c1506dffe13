// Package balance chooses one of several weighted items in constant time.
//
// It knows nothing of providers, health or requests: callers hold the items,
// balance answers with an index.
package balance

import "math/bits"

// MaxWeight is the largest weight that is told apart: more counts as much. It
// leaves room for 2^32 items in 64-bit sums.
const MaxWeight = 1 << 31

// Alias draws indexes in proportion to their weights, by the alias method: one
// multiplication chooses a column, one comparison chooses between the two items
// that share it (Vose, "A Linear Algorithm for Generating Random Numbers with a
// Given Distribution", IEEE Transactions on Software Engineering, 1991).
//
// It never changes after NewAlias: any number of goroutines may use it.
type Alias struct {
	columns []column
}

// column is one of n equal parts of the draw. Below the threshold it is its own
// item's, from there on the alias's.
type column struct {
	threshold uint64 // in 2^64ths of the column
	alias     uint32 // the item itself, if the whole column is its
}

// NewAlias builds the table. An item of weight 0 or less is never drawn, unless
// all are: then all are alike.
//
// It calculates in whole numbers, so no rounding adds up: an item's probability
// differs from its weight by the sum of weights by less than len(weights)/2^64.
func NewAlias(weights []int) *Alias {
	shares, full := shares(weights)
	columns := make([]column, len(weights))
	small, large := split(shares, full)
	for len(small) > 0 {
		// A column that its item does not fill is filled up by an item that has
		// more than one column's worth. There is one: the shares sum up to
		// len(columns)*full exactly.
		s, l := pop(&small), large[len(large)-1]
		columns[s] = column{threshold: fraction(shares[s], full), alias: l}
		shares[l] -= full - shares[s]
		if shares[l] < full {
			small = append(small, pop(&large))
		}
	}
	for _, l := range large {
		columns[l].alias = l // exactly full
	}
	return &Alias{columns: columns}
}

// Len is the number of items.
func (a *Alias) Len() int { return len(a.columns) }

// Pick returns the index that a random number stands for; every value of it
// must be equally likely. There must be an item.
func (a *Alias) Pick(random uint64) int {
	if len(a.columns) == 0 {
		panic("BUG: balance: Pick from nothing")
	}
	// The product's high half is the column; the low half says where in it, in
	// 2^64ths, because random/2^64*n = column + place.
	at, place := bits.Mul64(random, uint64(len(a.columns)))
	c := &a.columns[at]
	if place < c.threshold {
		return int(at)
	}
	return int(c.alias)
}

// shares scales the weights so that a column holds full: as many units as all
// weights together.
func shares(weights []int) (shares []uint64, full uint64) {
	shares = make([]uint64, len(weights))
	for i, w := range weights {
		shares[i] = uint64(min(max(w, 0), MaxWeight))
		full += shares[i]
	}
	if full == 0 {
		for i := range shares {
			shares[i] = 1
		}
		full = uint64(len(shares))
	}
	for i := range shares {
		shares[i] *= uint64(len(shares))
	}
	return shares, full
}

// split sorts the items into those that do not fill a column and those that do.
func split(shares []uint64, full uint64) (small, large []uint32) {
	for i, s := range shares {
		if s < full {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	return small, large
}

// fraction is share/full in 2^64ths, rounded down; share is less than full.
func fraction(share, full uint64) uint64 {
	q, _ := bits.Div64(share, 0, full)
	return q
}

func pop(stack *[]uint32) uint32 {
	last := len(*stack) - 1
	i := (*stack)[last]
	*stack = (*stack)[:last]
	return i
}
