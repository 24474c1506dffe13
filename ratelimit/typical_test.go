package ratelimit

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTypical(t *testing.T) {
	var typical Typical
	if got := typical.Expect(); got != unknown {
		t.Errorf("before the first: %d", got)
	}
	typical.Learn(100)
	if got := typical.Expect(); got != 100 {
		t.Errorf("after the first: %d, want 100", got)
	}
	for range 64 {
		typical.Learn(900)
	}
	if got := typical.Expect(); got < 890 || got > 900 {
		t.Errorf("after many of 900: %d", got)
	}
	typical.Learn(0)
	typical.Learn(-5)
	if got := typical.Expect(); got < 1 {
		t.Errorf("after answers of nothing: %d", got)
	}
}

// What is expected lies between the least and the most that was seen.
func TestTypicalIsBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := rapid.SliceOfN(rapid.Int64Range(1, 1_000_000), 1, 100).Draw(t, "answers")
		var typical Typical
		least, most := seen[0], seen[0]
		for _, n := range seen {
			typical.Learn(n)
			least, most = min(least, n), max(most, n)
		}
		if got := typical.Expect(); got < least || got > most {
			t.Fatalf("expects %d after %v", got, seen)
		}
	})
}
