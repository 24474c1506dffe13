package breaker

// Succeeded reports an answer that shows the target at work. It closes the
// Breaker if it was not, and ends the row of failures. It does not shorten a
// rest that the provider asked for.
func (b *Breaker) Succeeded(p Pass, now int64) {
	b.forgive(p, now)
	for {
		w := b.health.load()
		switch {
		case w.term() != p.health.term():
			return
		case w.kind() != closed:
			// What was counted before the opening must not count again. Until
			// the swap nobody counts.
			b.window.clear()
			if b.health.swap(w, newWord(w.term()+1, closed, 0, 0)) {
				return
			}
		case w.spotless() || b.health.swap(w, newWord(w.term(), closed, 0, 0)):
			if !p.begun {
				b.window.add(now, 0, 1)
			}
			return
		}
	}
}

// Began reports that an answer has begun that will go on for a while, and
// returns the pass to report its end with. It closes the Breaker if it was not,
// so that nobody waits for that end, but on trial: if the first answer to end is
// one that breaks off, the next rest follows, twice as long as the last. It ends
// the row of failures, not that of answers broken off.
func (b *Breaker) Began(p Pass, now int64) Pass {
	if p.begun {
		return p
	}
	b.forgive(p, now)
	p.begun = true
	for {
		w := b.health.load()
		switch {
		case w.term() != p.health.term():
			return p
		case w.kind() != closed:
			b.window.clear() // as in Succeeded
			if next := w.trial(); b.health.swap(w, next) {
				b.window.add(now, 0, 1)
				p.health, p.probe = next, false
				return p
			}
		case w == w.begun() || b.health.swap(w, w.begun()):
			b.window.add(now, 0, 1)
			return p
		}
	}
}

// Failed reports a failure that is the target's: it could not be reached, did
// not answer in time, answered 5xx or garbage; or broke an answer off that had
// begun.
func (b *Breaker) Failed(p Pass, now int64) {
	counted, sick := false, false
	for {
		w := b.health.load()
		next, ejected := w, false
		switch {
		case w.term() != p.health.term():
			return
		case w.kind() == closed:
			if !counted {
				b.window.add(now, 1, p.uncounted())
				counted, sick = true, b.tooMany(now)
			}
			var inARow bool
			next, inARow = b.worse(w, p)
			if ejected = sick || inARow; ejected {
				next = b.rest(w, open, w.step(), now)
			}
		case p.probe && w == p.health:
			next = b.again(w, open, now)
		default:
			return // asked all the same, or a probe that was given up: nothing new
		}
		if b.change(w, next, ejected, now) {
			return
		}
	}
}

// Refused reports that the provider does not take the gateway's key: 401, 403.
// A probe's refusal is enough; else it takes several in a row, because some
// providers answer 403 to what a single client sent.
func (b *Breaker) Refused(p Pass, now int64) {
	for {
		w := b.health.load()
		next, ejected := w, false
		switch {
		case w.term() != p.health.term():
			return
		case w.kind() == closed:
			next = w + oneRefusal
			if ejected = w.refusals()+1 >= b.settings.Refusals; ejected {
				next = b.rest(w, auth, 0, now)
			}
		case p.probe && w == p.health:
			next = b.again(w, auth, now)
		default:
			return
		}
		if b.change(w, next, ejected, now) {
			return
		}
	}
}

// Limited reports that the provider asked to be left alone until an instant. If
// that is not ahead, it did not say for how long: then it is as long as after a
// failure, twice as long each time. It says nothing of the target's health, so
// everyone may come back afterwards.
func (b *Breaker) Limited(p Pass, now, until int64) {
	b.Abandoned(p, now)
	for {
		w := b.limit.load()
		next, news := b.limited(w, p, now, until)
		if !news || b.limit.swap(w, next) {
			return
		}
	}
}

// Abandoned reports that nothing is known: the client left, or the target was
// not asked after all. A probe makes room for the next.
func (b *Breaker) Abandoned(p Pass, now int64) {
	if p.probe {
		b.health.swap(p.health, p.health.unprobed(now))
	}
}
