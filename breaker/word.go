package breaker

import (
	"sync/atomic"
	"time"
)

// kind is what a word of health says.
type kind uint8

const (
	closed kind = iota
	open
	openProbing // after a rest, with a probe under way
	auth        // open because the key is refused
	authProbing
)

func (k kind) probing() bool { return k == openProbing || k == authProbing }

// word is all that decides in 64 bits, so that every change is one
// compare-and-swap. From the top:
//
//	14 bits  term: counts openings, closings and probes that were abandoned
//	 3 bits  kind
//	 5 bits  step: how many rests of this kind came before, in a row
//	42 bits  closed: in a row, answers broken off and failures, 16 each, and
//	         refusals, 10
//	         else: the end of the rest, or of the probe's time, in milliseconds
//
// A step in a closed word is that of the next rest: nothing but the beginning of
// an answer has been seen since the last one.
//
// A term comes back after 16,384 others, which takes hours: a request that
// lasts as long and is confused by it counts once too often. The end comes back
// after 139 years.
//
// The word of a limit is made alike, with kind closed; its term counts rests.
type word uint64

const (
	endBits     = 42
	countBits   = 16
	refusalBits = endBits - 2*countBits
	stepBits    = 5
	kindBits    = 3
	termBits    = 64 - kindBits - stepBits - endBits

	oneRefusal  = word(1)
	oneFailure  = word(1) << refusalBits
	oneCut      = word(1) << (refusalBits + countBits)
	mostInARow  = 1<<countBits - 1
	mostSteps   = 1<<stepBits - 1
	millisecond = int64(time.Millisecond)
)

func newWord(term uint64, k kind, step int, end int64) word {
	ms := uint64(end+millisecond-1) / uint64(millisecond) // never early
	return word(term<<(64-termBits) |
		uint64(k)<<(endBits+stepBits) |
		uint64(min(step, mostSteps))<<endBits |
		ms&(1<<endBits-1))
}

func (w word) term() uint64  { return uint64(w) >> (64 - termBits) }
func (w word) kind() kind    { return kind(w >> (endBits + stepBits) & (1<<kindBits - 1)) }
func (w word) step() int     { return int(w >> endBits & mostSteps) }
func (w word) cuts() int     { return int(w >> (refusalBits + countBits) & mostInARow) }
func (w word) failures() int { return int(w >> refusalBits & mostInARow) }
func (w word) refusals() int { return int(w & (1<<refusalBits - 1)) }

// onTrial reports whether a closed word is of a target that has begun an answer
// after its last rest, and not yet ended one.
func (w word) onTrial() bool { return w.step() > 0 }

// spotless reports whether a closed word has nothing that a success would end.
func (w word) spotless() bool { return w<<(termBits+kindBits) == 0 }

// begun returns a closed word without what the beginning of an answer disproves:
// failures and refusals, but no answers that broke off.
func (w word) begun() word { return w &^ (oneCut - 1) }

// left is how much of the rest is left, in milliseconds. The shifts extend the
// sign of what is known of the difference.
func (w word) left(now int64) int64 {
	return int64((uint64(w)-uint64(now/millisecond))<<(64-endBits)) >> (64 - endBits)
}

// disorder is how far behind another's now a caller's may be without meaning
// anything. More than that is a clock that was set back.
const disorder = time.Second

// over reports whether the rest has ended. What is left of more than the
// longest rest there is was written before the clock was set back: that is over
// too, or else it would last until the clock has caught up.
func (w word) over(now int64, longest time.Duration) bool {
	left := w.left(now)
	return left <= 0 || left > (int64(longest)+int64(disorder))/millisecond
}

// probed returns the word with a probe under way until end.
func (w word) probed(end int64) word {
	k := w.kind()
	if !k.probing() {
		k++
	}
	return newWord(w.term(), k, w.step(), end)
}

// unprobed returns the word as it was before the probe, with its rest over. It
// is of a new term: or else the next probe of the same millisecond would be
// taken for this one.
func (w word) unprobed(now int64) word {
	return newWord(w.term()+1, w.kind()-1, w.step(), now/millisecond*millisecond)
}

// atomicWord is a word that many may change.
type atomicWord struct{ v atomic.Uint64 }

func (a *atomicWord) load() word              { return word(a.v.Load()) }
func (a *atomicWord) swap(old, new word) bool { return a.v.CompareAndSwap(uint64(old), uint64(new)) }
