// Package ratelimit holds a client key to its requests per second.
//
// A Bucket is one atomic word: taking from it is a compare-and-swap, whoever
// else takes at the same time. Time is an argument; the package reads no clock.
// Buckets finds the bucket of a key again when the configuration is reloaded.
package ratelimit

import (
	"sync/atomic"
	"time"
)

// MaxRate is the highest limit that is told apart: more counts as much.
const MaxRate = 1<<usedBits - 1 // 16,777,215 per second

// Bucket admits a number of requests per second, all of which may come at once.
//
// It is the virtual scheduling algorithm of ITU-T I.371 (GCRA) with one change.
// Each admitted request books 1/rate of a second on a time line, one after the
// other, never earlier than now; the line's end is the theoretical arrival time.
// While it is ahead of now there is a burst. GCRA admits whatever ends at most a
// second ahead of now: after a burst of a second's worth its bucket fills up
// again at once, so that somebody who hammers gets twice the rate in his first
// second. Here a burst must end within a second of its own beginning. So
//
//   - from rest, a second's worth may come in one instant;
//   - who hammers gets the rate in his first second, and in every later one;
//   - who keeps to the rate is never refused, and his bucket is always full;
//   - whatever is done, n seconds admit no more than n+1 seconds' worth, as with
//     a token bucket that holds one second's worth: it admits less, never more;
//   - who is refused is told to wait for the end of his second (as "retry-after"
//     counts whole seconds), and then finds the bucket full.
//
// The word holds the beginning of the burst and how many requests it has had.
// From these the line's end follows without rounding: no 1/rate is ever
// calculated, so that no rate drifts.
//
// A nil *Bucket admits everything.
type Bucket struct {
	limit int64 // per second; 0 refuses everything
	state *state
}

// state is what a key has used. Buckets of the same key share it when their
// rates differ, because requests in flight keep the configuration they began
// with: what was used stays used, whatever the rate.
type state struct {
	word atomic.Uint64
	_    [56]byte // a cache line each: one key's traffic must not slow another's
}

// The word: the beginning in ticks above, the requests used below. It wraps
// after 4.5 years; who was at rest for half of that is refused for one second
// at worst.
const (
	usedBits = 24
	tickBits = 17 // a tick is 2^17 ns = 131 µs; it is cut off a burst's second at most
	signBits = usedBits - tickBits

	usedMask = 1<<usedBits - 1
	tickMask = 1<<tickBits - 1
)

// second is the window of a burst.
const second = int64(time.Second)

// disorder is how far behind the beginning of a burst a caller's now may be
// without meaning anything: goroutines that took their time before they got
// here. More than that is a clock that was set back.
const disorder = int64(100 * time.Millisecond)

// hopeless is when to come back to a limit of 0.
const hopeless = time.Minute

// Verdict is what became of one request, and what its client may know.
type Verdict struct {
	OK         bool
	Limit      int64         // per second
	Remaining  int64         // more requests that would be admitted now
	Reset      time.Duration // until the bucket is full again
	RetryAfter time.Duration // until one is admitted; 0 if this one was
}

// Limit returns the requests per second.
func (b *Bucket) Limit() int64 { return b.limit }

// Take asks to admit one request at now, in nanoseconds of any clock that all
// callers share; a monotonic one is best. A clock that is set forward gives no
// more than a full bucket; one that is set back refuses for no more than a
// second (and disorder). No lock is held, nothing is allocated.
func (b *Bucket) Take(now int64) Verdict {
	if b == nil {
		return Verdict{OK: true}
	}
	if b.limit == 0 {
		return Verdict{RetryAfter: hopeless, Reset: hopeless}
	}
	for {
		old := b.state.word.Load()
		word, elapsed := b.advance(old, now)
		used := int64(word & usedMask)
		ok := used < b.limit
		if ok {
			word++
			used++
		}
		if word == old || b.state.word.CompareAndSwap(old, word) {
			return b.verdict(ok, used, elapsed)
		}
	}
}

// advance returns the word as it is at now, before the request, and how long
// its burst has been going on.
func (b *Bucket) advance(word uint64, now int64) (uint64, int64) {
	used := int64(word & usedMask)
	elapsed := since(word, now)
	switch {
	case elapsed < -disorder:
		// The clock was set back: begin anew, but with what is used.
		return begin(now) | uint64(used), now & tickMask
	case elapsed < 0:
		return word, 0
	case elapsed >= second || used*second <= elapsed*b.limit:
		// At rest: the line's end is not ahead of now. A tick that has begun is
		// booked, or else nothing would be used up by a rate of many per tick.
		into := now & tickMask
		return begin(now) | uint64(into*b.limit/second), into
	}
	return word, elapsed
}

func (b *Bucket) verdict(ok bool, used, elapsed int64) Verdict {
	v := Verdict{OK: ok, Limit: b.limit, Remaining: max(b.limit-used, 0)}
	end := min(used*second/b.limit, second) // of the line; above a second if the rate was lowered
	v.Reset = time.Duration(max(end-elapsed, 0))
	if !ok {
		v.Reset = time.Duration(second - elapsed)
		v.RetryAfter = v.Reset
	}
	return v
}

// begin is the word of a burst that begins at now and has used nothing.
func begin(now int64) uint64 { return uint64(now) >> tickBits << usedBits }

// since is how long before now the word's burst began, below zero if after it.
// The beginning lacks its top bits; the shifts extend the sign of the rest.
func since(word uint64, now int64) int64 {
	began := word >> usedBits << tickBits
	return int64((uint64(now)-began)<<signBits) >> signBits
}
