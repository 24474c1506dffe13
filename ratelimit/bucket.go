// Package ratelimit holds a client key to its requests per second, its tokens
// per minute and its requests at once.
//
// A Bucket of requests is one atomic word: taking from it is a compare-and-swap, whoever
// else takes at the same time. Time is an argument; the package reads no clock.
// Buckets finds the bucket of a key again when the configuration is reloaded.
package ratelimit

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// MaxRate is the highest limit that is told apart: more counts as much.
const MaxRate = 1<<24 - 1

// Bucket admits a number of requests per second, all of which may come at once.
//
// It is the virtual scheduling algorithm of ITU-T I.371 (GCRA) with one change.
// Each admitted request books 1/limit of a second on a time line, one after the
// other, never earlier than now; the line's end is the theoretical arrival time.
// While it is ahead of now there is a burst. GCRA admits whatever ends at most a
// second ahead of now: its bucket fills up again while a burst is going on, so
// that somebody who hammers gets twice the limit in his first second. Here a
// burst must end within a second of its own beginning. So
//
//   - from rest, a second's worth may come in one instant;
//   - who hammers gets the limit in his first second, and in every later one;
//   - who leaves 1/limit between two requests is never refused, and always finds
//     the bucket full;
//   - whatever is done, n seconds admit no more than n+1 seconds' worth: what a
//     token bucket of one second's worth would refuse is refused here too;
//   - who is refused is told to wait for the end of his second ("retry-after"
//     counts whole seconds anyway), and finds the bucket full then.
//
// The price: who comes irregularly, just below the limit on average, is refused
// what goes beyond it within the second of a burst. A limit per second says so.
//
// The word holds when the burst began and how many requests it has had. The
// line's end follows from these without rounding, because 1/limit is never
// calculated: no limit drifts, however high.
//
// A nil *Bucket admits everything.
type Bucket struct {
	limit    int64 // per second; 0 refuses everything
	usedBits uint8 // of the word, at its low end; above them is the beginning

	word atomic.Uint64
	_    [40]byte // a cache line for each bucket: one key's traffic must not slow another's
}

// Of the beginning, 57 bits of nanoseconds are kept. That wraps after 4.5 years;
// who was at rest for half of that finds used again what was used then, for a
// second at most. Where limit needs more than the other 7 bits, the beginning
// loses as many: it is cut down to a tick of 2^(usedBits-7) ns, which makes a
// burst's second too short by as much. That is nothing up to 127 per second,
// 1 µs at 100,000 and 131 µs at MaxRate.
const beginBits = 57

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
	Limit      int64         // per second, or per minute of an Allowance
	Remaining  int64         // more requests, or tokens, that would be admitted now
	Reset      time.Duration // until the bucket is full again
	RetryAfter time.Duration // until one is admitted; 0 if this one was
}

func newBucket(limit int64) *Bucket {
	return &Bucket{limit: limit, usedBits: uint8(max(bits.Len64(uint64(limit)), 64-beginBits))}
}

// withLimit returns a bucket for another limit that goes on with b's burst: the
// same part of it is used. b may be taken from meanwhile.
func (b *Bucket) withLimit(limit int64) *Bucket {
	c := newBucket(limit)
	if b.limit > 0 {
		word := b.word.Load()
		used := roundUp(b.used(word)*limit, b.limit)
		c.word.Store(c.begin(int64(b.began(word))) | uint64(used))
	}
	return c
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
		return Verdict{Reset: hopeless, RetryAfter: hopeless}
	}
	for {
		old := b.word.Load()
		word, elapsed := b.advance(old, now)
		ok := b.used(word) < b.limit
		if ok {
			word++
		}
		if word == old || b.word.CompareAndSwap(old, word) {
			return b.verdict(ok, b.used(word), elapsed)
		}
	}
}

// advance returns the word as it is at now, before the request, and how long
// its burst has been going on; a little below zero for a late goroutine.
func (b *Bucket) advance(word uint64, now int64) (uint64, int64) {
	used := b.used(word)
	elapsed := b.since(word, now)
	switch {
	case elapsed < -disorder:
		// The clock was set back: begin anew, but with what is used.
		return b.begin(now) | uint64(used), 0
	case elapsed >= second || used*second <= elapsed*b.limit:
		// At rest: the line's end is not ahead of now. What has passed of the
		// tick is booked, or else the many requests of one tick would each find
		// the bucket at rest.
		fresh := b.begin(now)
		passed := b.since(fresh, now)
		return fresh | uint64(passed*b.limit/second), passed
	}
	return word, elapsed
}

func (b *Bucket) verdict(ok bool, used, elapsed int64) Verdict {
	v := Verdict{OK: ok, Limit: b.limit, Remaining: b.limit - used}
	if !ok {
		v.RetryAfter = time.Duration(second - elapsed)
	}
	v.Reset = time.Duration(roundUp(used*second, b.limit) - elapsed)
	return v
}

// used is how many requests the word's burst has had.
func (b *Bucket) used(word uint64) int64 { return int64(word & (1<<b.usedBits - 1)) }

// begin is the word of a burst that begins at now and has used nothing.
func (b *Bucket) begin(now int64) uint64 { return uint64(now) >> b.tickBits() << b.usedBits }

// began is when the word's burst began, without the bits above beginBits.
func (b *Bucket) began(word uint64) uint64 { return word >> b.usedBits << b.tickBits() }

// since is how long before now the word's burst began, below zero if after it.
// The shifts extend the sign of what is known of the difference.
func (b *Bucket) since(word uint64, now int64) int64 {
	return int64((uint64(now)-b.began(word))<<(64-beginBits)) >> (64 - beginBits)
}

func (b *Bucket) tickBits() uint8 { return b.usedBits - (64 - beginBits) }

func roundUp(a, b int64) int64 { return (a + b - 1) / b }
