package ratelimit

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// MaxTokens is the highest allowance that is told apart: more counts as much.
const MaxTokens = 1_000_000_000_000

// minute is what an allowance is for.
const minute = int64(time.Minute)

// Allowance is how many tokens a client key may use per minute. What a request
// will use is not known before it ends, so it reserves what it may use, and
// settles for what it has used.
//
// What has been settled is on GCRA's time line (ITU-T I.371): each token books
// limit⁻¹ of a minute, never earlier than now, and the line may end a minute
// ahead. What is reserved stands beside it, for as long as its request takes.
// A request is let in if the line would still end within the minute with
// everything that is reserved on it. So, if nobody uses more than he reserved,
// w minutes never see more than w+1 times the limit settled. Who does use more
// is let do so, and leaves a debt: nobody else is let in before it is paid.
//
// A nil *Allowance admits everything.
type Allowance struct {
	limit atomic.Int64 // tokens per minute; 0 refuses everything

	// settled is the end of the time line. It is moved before what was
	// reserved for it is taken out of reserved, and read after it: between the
	// two, tokens count twice and never not at all.
	settled atomic.Int64

	// reserved holds tokens in its low reservedBits, and above them a count of
	// its changes: who finds it unchanged knows that nothing has been settled
	// either.
	reserved atomic.Uint64
}

const (
	reservedBits = 40 // more than MaxTokens
	reservedMask = 1<<reservedBits - 1
	oneChange    = 1 << reservedBits
)

func newAllowance(limit int64) *Allowance {
	a := new(Allowance)
	a.setLimit(limit)
	return a
}

// setLimit changes the limit. The part of the minute that is used stays used.
func (a *Allowance) setLimit(limit int64) { a.limit.Store(min(max(limit, 0), MaxTokens)) }

// Reserve asks to let in a request that may use so many tokens, at now in
// nanoseconds of a monotonic clock that all callers share. A request for more
// than the limit is let in when nothing else is reserved or used.
//
// It returns what was reserved, which Settle must be given once; nothing if
// the verdict is a refusal. No lock is held, nothing is allocated.
func (a *Allowance) Reserve(tokens, now int64) (reserved int64, v Verdict) {
	if a == nil {
		return 0, Verdict{OK: true}
	}
	limit := a.limit.Load()
	if limit == 0 {
		return 0, Verdict{Reset: hopeless, RetryAfter: hopeless}
	}
	tokens = min(max(tokens, 0), limit)
	for {
		old := a.reserved.Load()
		all := int64(old&reservedMask) + tokens
		line := max(a.settled.Load()-now, 0)
		if wait := line + share(all, limit) - minute; wait > 0 {
			v := verdictOf(limit, line, all-tokens)
			v.RetryAfter = time.Duration(wait)
			return 0, v
		}
		if a.reserved.CompareAndSwap(old, old+oneChange+uint64(tokens)) {
			v := verdictOf(limit, line, all)
			v.OK = true
			return tokens, v
		}
	}
}

// Settle ends what Reserve began: the request used so many tokens.
func (a *Allowance) Settle(reserved, used, now int64) {
	if a == nil {
		return
	}
	if limit := a.limit.Load(); limit > 0 && used > 0 {
		a.book(share(used, limit), now)
	}
	for reserved > 0 {
		old := a.reserved.Load()
		if a.reserved.CompareAndSwap(old, old+oneChange-uint64(reserved)) {
			return
		}
	}
}

// book puts so many nanoseconds at the end of the line.
func (a *Allowance) book(cost, now int64) {
	for {
		old := a.settled.Load()
		if a.settled.CompareAndSwap(old, max(old, now)+cost) {
			return
		}
	}
}

// verdictOf describes an allowance whose line is so far ahead of now.
func verdictOf(limit, line, reserved int64) Verdict {
	free := limit - reserved - tokensOf(line, limit)
	return Verdict{Limit: limit, Remaining: max(free, 0), Reset: time.Duration(line + share(reserved, limit))}
}

// share is the part of a minute that so many tokens are, rounded up.
func share(tokens, limit int64) int64 {
	hi, lo := bits.Mul64(uint64(tokens), uint64(minute))
	if hi >= uint64(limit) {
		return 1 << 61 // centuries
	}
	quotient, rest := bits.Div64(hi, lo, uint64(limit))
	if rest > 0 {
		quotient++
	}
	return int64(min(quotient, 1<<61))
}

// tokensOf is how many tokens a part of a minute is, rounded up.
func tokensOf(line, limit int64) int64 {
	hi, lo := bits.Mul64(uint64(line), uint64(limit))
	if hi >= uint64(minute) {
		return limit
	}
	quotient, rest := bits.Div64(hi, lo, uint64(minute))
	if rest > 0 {
		quotient++
	}
	return int64(min(quotient, uint64(limit)))
}
