package tokens

import (
	"math/bits"
	"slices"
)

// Byte pair encoding, as tiktoken does it: a piece begins as its bytes; of all
// neighbours whose bytes together are a token, those of the lowest rank (of
// equals the leftmost) are joined, until none are left.

// scanBytes is the length up to which it is cheapest to look through all pairs
// for the next one to join. A longer piece is joined by a tournament, which
// takes O(n log n).
const scanBytes = 96

// pair is a part of a piece and the one after it: the rank of both together,
// above the place where the first one starts. The least pair is the next to be
// joined.
type pair uint64

func newPair(rank uint32, start int) pair { return pair(rank)<<32 | pair(start) }

func (p pair) start() int { return int(uint32(p)) }

// scan joins a short piece and returns its parts.
func scan(v *vocabulary, piece []byte, room *[scanBytes + 1]pair) []pair {
	n := len(piece)
	parts := room[:n+1]
	for i := range n - 1 {
		parts[i] = newPair(v.rank(piece, i, i+2), i)
	}
	parts[n-1], parts[n] = newPair(none, n-1), newPair(none, n)
	for {
		at := least(parts)
		if at < 0 {
			return parts[:len(parts)-1]
		}
		copy(parts[at+1:], parts[at+2:])
		parts = parts[:len(parts)-1]
		parts[at] = again(v, piece, parts, at)
		if at > 0 {
			parts[at-1] = again(v, piece, parts, at-1)
		}
	}
}

// least returns the index of the pair to be joined, -1 if there is none.
func least(parts []pair) int {
	at, low := -1, pair(none)<<32
	for i, p := range parts {
		if p < low {
			at, low = i, p
		}
	}
	return at
}

// again is the pair of a part that has a new neighbour.
func again(v *vocabulary, piece []byte, parts []pair, i int) pair {
	start := parts[i].start()
	if i+2 >= len(parts) {
		return newPair(none, start)
	}
	return newPair(v.rank(piece, start, parts[i+2].start()), start)
}

// tournament joins a long piece. It keeps a rank for each byte that a part
// starts with, and above each sixteen of them their least one, and so on up to
// a single one; and a bit for each byte that a part starts with. That is four
// and a half bytes for each of the piece, which stay for the next piece.
type tournament struct {
	levels [][]uint32 // views of ranks; the last one is one number
	ranks  []uint32
	starts []uint64 // bits; the one behind the end is set, too
	length int
}

const (
	branch     = 16
	branchBits = 4
)

// join returns into how many parts the piece is joined; starts tells where.
func (t *tournament) join(v *vocabulary, piece []byte) (parts int) {
	t.reset(len(piece))
	parts = len(piece)
	for i := range parts - 1 {
		t.ranks[i] = v.rank(piece, i, i+2)
	}
	t.ranks[parts-1] = none
	t.build()
	for {
		at := t.least()
		if at < 0 {
			return parts
		}
		t.drop(t.next(at))
		parts--
		end := t.next(at)
		t.set(at, t.pair(v, piece, at, end))
		if before := t.before(at); before >= 0 {
			t.set(before, v.rank(piece, before, end))
		}
	}
}

// pair is the rank of the part from start to end with the one behind it.
func (t *tournament) pair(v *vocabulary, piece []byte, start, end int) uint32 {
	if end == t.length {
		return none
	}
	return v.rank(piece, start, t.next(end))
}

// reset makes room for a piece, all of whose bytes are parts.
func (t *tournament) reset(length int) {
	t.length = length
	total := 1
	for size := length; size > 1; size = groups(size) {
		total += groups(size) * branch
	}
	t.ranks = slices.Grow(t.ranks[:0], total)[:total]
	t.starts = slices.Grow(t.starts[:0], length/64+1)[:length/64+1]
	for i := range t.starts {
		t.starts[i] = ^uint64(0)
	}
	t.starts[length/64] = 1<<(length%64) | (1<<(length%64) - 1)
}

// build fills the levels above the ranks of the bytes.
func (t *tournament) build() {
	t.levels = t.levels[:0]
	rest, size := t.ranks, t.length
	for {
		full := groups(size) * branch
		level := rest[:full]
		for i := size; i < full; i++ {
			level[i] = none
		}
		t.levels = append(t.levels, level)
		rest, size = rest[full:], full/branch
		for i := range size {
			rest[i] = leastOf(level, i)
		}
		if size == 1 {
			t.levels = append(t.levels, rest[:1])
			return
		}
	}
}

// groups is how many groups of sixteen so many numbers make.
func groups(size int) int { return (size + branch - 1) / branch }

func leastOf(level []uint32, group int) uint32 {
	of := (*[branch]uint32)(level[group<<branchBits:])
	low := of[0]
	for _, rank := range of[1:] {
		low = min(low, rank)
	}
	return low
}

// least returns the start of the pair to be joined, -1 if there is none.
func (t *tournament) least() int {
	low := t.levels[len(t.levels)-1][0]
	if low == none {
		return -1
	}
	at := 0
	for l := len(t.levels) - 2; l >= 0; l-- {
		for at <<= branchBits; t.levels[l][at] != low; {
			at++
		}
	}
	return at
}

// set changes the rank of a pair, and what follows from it above.
func (t *tournament) set(at int, rank uint32) {
	t.ranks[at] = rank
	for l := range len(t.levels) - 1 {
		at >>= branchBits
		low := leastOf(t.levels[l], at)
		if t.levels[l+1][at] == low {
			return
		}
		t.levels[l+1][at] = low
	}
}

// drop takes away the start of a part that was joined to the one before it.
func (t *tournament) drop(at int) {
	t.starts[at/64] &^= 1 << (at % 64)
	t.set(at, none)
}

// next returns the start of the part behind the one at hand, or the end.
func (t *tournament) next(at int) int {
	at++
	word := t.starts[at/64] >> (at % 64)
	if word != 0 {
		return at + bits.TrailingZeros64(word)
	}
	i := at/64 + 1
	for t.starts[i] == 0 {
		i++
	}
	return i*64 + bits.TrailingZeros64(t.starts[i])
}

// before returns the start of the part before the one at hand, -1 if it is the first.
func (t *tournament) before(at int) int {
	if at == 0 {
		return -1
	}
	at--
	word := t.starts[at/64] << (63 - at%64)
	if word != 0 {
		return at - bits.LeadingZeros64(word)
	}
	i := at/64 - 1
	for t.starts[i] == 0 {
		i--
	}
	return i*64 + 63 - bits.LeadingZeros64(t.starts[i])
}
