package breaker

// State is what an operator is shown.
type State uint8

const (
	Closed   State = iota // in use
	Resting               // the provider asked to be left alone
	HalfOpen              // the rest is over; the next request, or the one under way, decides
	Open                  // resting after failures
	Auth                  // the key is refused; until a success
)

func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Resting:
		return "resting"
	case HalfOpen:
		return "half_open"
	case Open:
		return "open"
	case Auth:
		return "auth"
	}
	panic("BUG: breaker: no such State")
}

// State returns the worst that is known of the target at now.
func (b *Breaker) State(now int64) State {
	switch w := b.health.load(); {
	case w.kind() == auth, w.kind() == authProbing:
		return Auth
	case w.kind() == open && !b.rested(w, now):
		return Open
	case w.kind() != closed:
		return HalfOpen
	case !b.unlimited(b.limit.load(), now):
		return Resting
	}
	return Closed
}

// Ejections counts how often the target was left out: once for each time that
// it was Closed before.
func (b *Breaker) Ejections() int64 { return b.ejections.Load() }

// Since returns since when the target has been left out, 0 if it is not.
func (b *Breaker) Since() int64 {
	if b.health.load().kind() == closed {
		return 0
	}
	return b.since.Load()
}
