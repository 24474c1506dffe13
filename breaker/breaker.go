// Package breaker tells when a target is best left alone: one model at one
// provider, judged by what became of the requests that it was sent.
//
// A Breaker opens after failures in a row, or when too many of the requests of
// the last seconds failed. It rests then, and afterwards lets one request at a
// time find out whether the target is back: one success closes it, one failure
// makes the next rest twice as long. A refused key and a provider that asks to
// be left alone (429) have rests of their own.
//
//	pass, ok := b.Enter(now)  // ok is false: ask another one
//	b.Succeeded(pass, now)    // or Failed, Refused, Limited, Abandoned
//
// An answer that goes on for minutes is told of twice: when it has begun, and how
// it ended. Its beginning is enough to let the others in again after a rest, but
// not enough to trust a target that breaks off all that it begins.
//
//	pass = b.Began(pass, now)
//	b.Succeeded(pass, now)    // or Failed, Abandoned
//
// A Breaker knows one target only. That the last chance is never taken away,
// when none of a model's targets is ready, is the caller's business: it asks
// one all the same and reports with the pass that it was refused with.
//
// Everything is atomic words: no lock, no allocation, no goroutine, no clock.
// Instants are Unix nanoseconds and arguments.
package breaker

import (
	"sync/atomic"
	"time"
)

// Settings say when a Breaker opens and for how long. A field that is 0 is its
// default.
type Settings struct {
	Consecutive  int           // failures in a row, or answers broken off, that open it: 5, at most MaxConsecutive
	RatioPercent int           // failures in percent of the window's requests that open it: 50
	MinRequests  int           // that the window must have for RatioPercent to count: 20
	Window       time.Duration // 10 s, looked at in tenths

	BaseRest time.Duration // the first rest: 1 s
	MaxRest  time.Duration // the longest one: 30 s
	Probe    time.Duration // after it a probe that has not reported is given up: MaxRest

	Refusals    int           // refusals of the key in a row that open it: 3, at most MaxRefusals
	AuthRest    time.Duration // the first rest after them: 60 s
	MaxAuthRest time.Duration // the longest one: 10 min

	MaxLimited time.Duration // the longest rest that a provider may ask for: 60 s
}

// MaxConsecutive and MaxRefusals are the most in a row that are told apart:
// more counts as much.
const (
	MaxConsecutive = 1 << (countBits - 1)
	MaxRefusals    = 1 << (refusalBits - 1)
)

// withDefaults returns the settings with every field in its range.
func (s Settings) withDefaults() Settings {
	preset(&s.Consecutive, 5)
	preset(&s.RatioPercent, 50)
	preset(&s.MinRequests, 20)
	preset(&s.Window, 10*time.Second)
	preset(&s.BaseRest, time.Second)
	preset(&s.MaxRest, 30*time.Second)
	preset(&s.Probe, s.MaxRest)
	preset(&s.Refusals, 3)
	preset(&s.AuthRest, time.Minute)
	preset(&s.MaxAuthRest, 10*time.Minute)
	preset(&s.MaxLimited, time.Minute)

	s.Consecutive = min(s.Consecutive, MaxConsecutive)
	s.Refusals = min(s.Refusals, MaxRefusals)
	s.Window = max(s.Window, slots*time.Millisecond)
	return s
}

func preset[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Breaker is the health of one target. Any number of goroutines may use it.
type Breaker struct {
	// health is the state; limit is the rest that the provider asked for, which
	// says nothing of its health. Both are read by everyone and rarely change.
	health, limit atomicWord

	since     atomic.Int64
	ejections atomic.Int64
	settings  Settings
	seed      uint64

	_      [64]byte // what every request writes must not slow who only reads
	window window
}

// New makes a closed Breaker. The seed decides by how much its rests are
// longer than the others': give each target its own.
func New(s Settings, seed uint64) *Breaker {
	b := &Breaker{settings: s.withDefaults(), seed: seed}
	b.window.width = int64(b.settings.Window / slots)
	return b
}

// Pass is what a request carries from Enter to its report, of which there is
// one; after Began, the pass that it returned. Whose pass is of before the last opening or closing has no news to tell:
// its report changes nothing. Abandoned may be deferred: after another report it
// changes nothing either.
type Pass struct {
	health, limit word
	probe         bool
	begun         bool // Began was told
}

// Probe reports whether the request is the one that finds out whether the
// target is back.
func (p Pass) Probe() bool { return p.probe }

// Ready reports whether Enter would admit a request now. It changes nothing:
// ask it of as many targets as there are.
func (b *Breaker) Ready(now int64) bool {
	w := b.health.load()
	return (w.kind() == closed || b.rested(w, now)) && b.unlimited(b.limit.load(), now)
}

// Enter takes a request in. After a rest it admits one at a time; whoever was
// not quick enough asks another target. The pass of one that is not admitted is
// good too: for a caller who has nobody else to ask.
//
// A probe must report, or the others wait for it: until Settings.Probe has
// passed. Then it is given up for the next. If it does report later, its success
// counts, its failure does not.
func (b *Breaker) Enter(now int64) (pass Pass, admitted bool) {
	for {
		pass = Pass{health: b.health.load(), limit: b.limit.load()}
		switch w := pass.health; {
		case !b.unlimited(pass.limit, now):
			return pass, false
		case w.kind() == closed:
			return pass, true
		case !b.rested(w, now):
			return pass, false
		default:
			pass.health, pass.probe = w.probed(now+int64(b.settings.Probe)), true
			if b.health.swap(w, pass.health) {
				return pass, true
			}
		}
	}
}

// rested reports whether the word of a Breaker that is not closed lets a probe
// through: its rest, or the time of the former probe, is over.
func (b *Breaker) rested(w word, now int64) bool {
	longest := b.settings.Probe
	if !w.kind().probing() {
		longest = b.scale(w.kind()).longest(w.step())
	}
	return w.over(now, longest)
}

// unlimited reports whether the provider does not ask to be left alone.
func (b *Breaker) unlimited(w word, now int64) bool {
	return w.over(now, max(b.settings.MaxLimited, b.settings.MaxRest))
}
