package admin

import (
	"net"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// S14: one who guesses is no other's trouble.
func TestGuessesAreCountedBySource(t *testing.T) {
	f := func(a, b string, same bool) {
		t.Helper()
		var g guesses
		for range guessesAllowed {
			g.add(net.ParseIP(a), noon)
		}
		if wait, _ := g.add(net.ParseIP(b), noon); (wait > 0) != same {
			t.Errorf("after 20 from %s, %s waits %v", a, b, wait)
		}
	}
	f("192.0.2.1", "192.0.2.1", true)
	f("192.0.2.1", "192.0.2.2", false)
	f("192.0.2.1", "::ffff:192.0.2.1", true)
	f("2001:db8::1", "2001:db8::2", true)
	f("2001:db8::1", "2001:db8:0:1::1", false)
}

// TestGuessesAreBounded: a new address for each guess fills no memory, and
// the one that guesses most recently is still known.
func TestGuessesAreBounded(t *testing.T) {
	var g guesses
	last := net.IPv4(192, 0, 2, 1)
	for i := range 3 * guessSources {
		g.add(net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), noon.Add(time.Duration(i)*time.Millisecond))
		if len(g.sources) > guessSources {
			t.Fatalf("%d sources are remembered", len(g.sources))
		}
	}
	now := noon.Add(4 * time.Minute)
	for range guessesAllowed + 1 {
		g.add(last, now)
	}
	if wait, _ := g.add(last, now); wait <= 0 {
		t.Error("the last source was forgotten")
	}
}

// TestGuessesRule holds the counter to its words: within a window 20 are
// free, the others wait to its end.
func TestGuessesRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g guesses
		now, begin, count := noon, time.Time{}, 0
		for _, step := range rapid.SliceOf(rapid.Int64Range(0, int64(time.Minute))).Draw(t, "steps") {
			now = now.Add(time.Duration(step))
			if begin.IsZero() || !now.Before(begin.Add(guessWindow)) {
				begin, count = now, 0
			}
			count++
			want := time.Duration(0)
			if count > guessesAllowed {
				want = begin.Add(guessWindow).Sub(now)
			}
			wait, first := g.add(net.IPv4(192, 0, 2, 1), now)
			if wait != want || first != (count == guessesAllowed+1) {
				t.Fatalf("guess %d waits %v, first %v, want %v", count, wait, first, want)
			}
		}
	})
}
