package server

import (
	"testing"

	"pgregory.net/rapid"
)

// A buffer has the room that was asked for, and comes back only to who asks
// for no more than it has.
func TestBuffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 20<<20)).Draw(t, "sizes") {
			b := newBuffer(n)
			if len(b) != 0 || cap(b) < n || n > keepBytes && n <= 16<<20 && cap(b) >= 2*n && cap(b) > 2*keepBytes {
				t.Fatalf("newBuffer(%d) has %d bytes of %d", n, len(b), cap(b))
			}
			dropBuffer(b)
		}
	})
}

func TestGrowKeepsWhatThereIs(t *testing.T) {
	b := append(newBuffer(4), "head"...)
	for range 12 {
		before := cap(b)
		b = grow(b, -1)
		if string(b) != "head" || cap(b) <= before {
			t.Fatalf("grown from %d to %d: %q", before, cap(b), b)
		}
	}
	if b = grow(append([]byte(nil), "head"...), 100_000); cap(b) > 64<<10 {
		t.Errorf("4 bytes of a declared 100,000 have room for %d", cap(b))
	}
}
