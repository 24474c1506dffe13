package breaker

// tooMany reports whether the window's failures are more than the settings
// allow.
func (b *Breaker) tooMany(now int64) bool {
	failures, requests := b.window.sum(now)
	return requests >= uint64(b.settings.MinRequests) &&
		failures*100 >= requests*uint64(b.settings.RatioPercent)
}

// rest is the word of a new term that rests from now on.
func (b *Breaker) rest(w word, k kind, step int, now int64) word {
	length := b.scale(k).between(step, b.random(w.term()))
	return newWord(w.term()+1, k, step, now+int64(length))
}

// again is the word after a probe that failed: the next longer rest, or the
// first of another kind.
func (b *Breaker) again(w word, k kind, now int64) word {
	step := 0
	if w.kind()-1 == k {
		step = w.step() + 1
	}
	return b.rest(w, k, step, now)
}

// change makes w the next word, unless somebody else was quicker.
func (b *Breaker) change(w, next word, ejected bool, now int64) bool {
	if !b.health.swap(w, next) {
		return false
	}
	if ejected {
		b.since.Store(now)
		b.ejections.Add(1)
	}
	return true
}

// forgive begins the doubling of limits anew, after an answer that was asked
// for since the last.
func (b *Breaker) forgive(p Pass, now int64) {
	w := b.limit.load()
	if w.step() > 0 && w.term() == p.limit.term() && b.unlimited(w, now) {
		b.limit.swap(w, 0)
	}
}
