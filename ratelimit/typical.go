package ratelimit

import "sync/atomic"

// Typical learns how many tokens the answers to a client key usually have, for
// requests that do not say how many they may have. It is an exponentially
// weighted mean: of a change, seven eighths are learnt in 16 answers. Its zero
// value knows nothing.
type Typical struct {
	mean atomic.Int64 // in sixteenths of a token; 0 is nothing learnt
}

// unknown is what is expected before anything has been learnt.
const unknown = 512

// Expect returns what the next answer will probably have.
func (t *Typical) Expect() int64 {
	if mean := t.mean.Load(); mean > 0 {
		return (mean + 15) / 16
	}
	return unknown
}

// Learn takes note of one answer. When two come at once, one may be forgotten.
func (t *Typical) Learn(tokens int64) {
	tokens = min(max(tokens, 1), MaxTokens)
	mean := t.mean.Load()
	if mean == 0 {
		mean = tokens * 16
	} else {
		mean += (tokens*16 - mean) / 8
	}
	t.mean.Store(max(mean, 1))
}
