package breaker

// tooMany reports whether the window's failures are more than the settings
// allow.
func (b *Breaker) tooMany(now int64) bool {
	failures, requests := b.window.sum(now)
	requests = max(requests, failures) // answers that broke off may have begun before the window
	return requests >= uint64(b.settings.MinRequests) &&
		failures*100 >= requests*uint64(b.settings.RatioPercent)
}

// worse is a closed word after one more failure, and whether that is one too many
// in a row.
func (b *Breaker) worse(w word, p Pass) (next word, inARow bool) {
	if p.begun {
		return w + oneCut, w.onTrial() || w.cuts()+1 >= b.settings.Consecutive
	}
	return w + oneFailure, w.failures()+1 >= b.settings.Consecutive
}

// uncounted is 1 for the pass of a request that the window has not counted yet.
func (p Pass) uncounted() uint64 {
	if p.begun {
		return 0
	}
	return 1
}

// trial is the closed word after a rest, when no more is known than that an
// answer has begun. Whose key was refused has passed with that.
func (w word) trial() word {
	step := 0
	if w.kind() == open || w.kind() == openProbing {
		step = w.step() + 1
	}
	return newWord(w.term()+1, closed, step, 0)
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

// limited is the word after the provider asked to be left alone. It is no news
// if that ends no later than what it asked for already, or, when it did not say
// for how long, if it was asked before the last rest or in the midst of it.
func (b *Breaker) limited(w word, p Pass, now, until int64) (next word, news bool) {
	resting := !b.unlimited(w, now)
	if until > now {
		end := min(until, now+int64(b.settings.MaxLimited))
		next = newWord(w.term()+1, closed, w.step(), end)
		return next, !resting || next.left(now) > w.left(now)
	}
	length := b.scale(open).between(w.step(), b.random(w.term()))
	next = newWord(w.term()+1, closed, w.step()+1, now+int64(length))
	return next, !resting && w.term() == p.limit.term()
}

// forgive begins the doubling of limits anew, after an answer that was asked
// for since the last.
func (b *Breaker) forgive(p Pass, now int64) {
	w := b.limit.load()
	if w.step() > 0 && w.term() == p.limit.term() && b.unlimited(w, now) {
		b.limit.swap(w, newWord(w.term(), closed, 0, 0))
	}
}
