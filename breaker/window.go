package breaker

import "sync/atomic"

// slots is how many parts a window has. The newest is still being filled: a
// window of ten seconds covers the last nine to ten.
const slots = 10

// window counts the requests of the last seconds in a ring of words:
//
//	24 bits  tick: which part of time the word is of
//	20 bits  failures
//	20 bits  requests
//
// A slot whose tick is over is begun anew by the first who needs it, in one
// compare-and-swap that fails if somebody has just counted: no count is lost by
// turning. Who was held up between looking and adding counts in a later slot.
//
// What is lost: a slot's requests beyond a million; those of the instant in
// which the Breaker closes, because it clears the window; and what was counted
// ahead of a clock that is set back.
type window struct {
	width int64 // of a slot, in nanoseconds
	slots [slots]atomic.Uint64
}

const (
	countedBits = 20
	mostCounted = 1<<countedBits - 1
	tickMask    = 1<<(64-2*countedBits) - 1

	// fullSlot leaves room for those who looked before it was full.
	fullSlot = mostCounted - 1<<14
)

// add counts requests and failures, each 0 or 1. An answer that breaks off is a
// request when it begins and a failure when it ends.
func (r *window) add(now int64, failures, requests uint64) {
	tick := uint64(now / r.width)
	slot := &r.slots[tick%slots]
	one := failures<<countedBits | requests
	for {
		w := slot.Load()
		switch {
		case w>>(2*countedBits) != tick&tickMask:
			if slot.CompareAndSwap(w, tick&tickMask<<(2*countedBits)|one) {
				return
			}
			continue
		case w&mostCounted < fullSlot && w>>countedBits&mostCounted < fullSlot:
			slot.Add(one)
		}
		return
	}
}

// sum is what the window has counted at now.
func (r *window) sum(now int64) (failures, requests uint64) {
	newest := uint64(now / r.width)
	for i := range uint64(slots) {
		tick := newest - i
		w := r.slots[tick%slots].Load()
		if w>>(2*countedBits) == tick&tickMask {
			failures += w >> countedBits & mostCounted
			requests += w & mostCounted
		}
	}
	return failures, requests
}

// clear forgets everything.
func (r *window) clear() {
	for i := range r.slots {
		r.slots[i].Store(0)
	}
}
