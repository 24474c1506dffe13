package breaker

import (
	"math/bits"
	"time"
)

// scale is rests that double from the first to the last.
type scale struct{ first, last time.Duration }

// scale returns the rests of a kind.
func (b *Breaker) scale(k kind) scale {
	if k == auth || k == authProbing {
		return scale{b.settings.AuthRest, b.settings.MaxAuthRest}
	}
	return scale{b.settings.BaseRest, b.settings.MaxRest}
}

// shortest is the rest that comes after step others.
func (s scale) shortest(step int) time.Duration {
	rest := s.first
	for range step {
		if rest >= s.last {
			break
		}
		rest *= 2
	}
	return min(rest, s.last)
}

// longest is a tenth more, but never more than the last.
func (s scale) longest(step int) time.Duration {
	rest := s.shortest(step)
	return min(rest+rest/10, s.last)
}

// between draws a rest: many gateways that saw the same failure must not come
// back in the same instant. It is never shorter than announced, because the
// number of probes in a minute is announced too.
func (s scale) between(step int, random uint64) time.Duration {
	shortest := s.shortest(step)
	more, _ := bits.Mul64(random, uint64(s.longest(step)-shortest)+1)
	return shortest + time.Duration(more)
}

// random is a number for each term of this Breaker, always the same.
func (b *Breaker) random(term uint64) uint64 { return mix(b.seed ^ mix(term)) }

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, "Fast Splittable
// Pseudorandom Number Generators", OOPSLA 2014), with its increment.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
