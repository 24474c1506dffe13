//go:build !race

package tokens

import (
	"math"
	"testing"
	"time"
)

// quickest is the CPU time of the best of some runs: what the machine does
// besides makes others slower, none quicker.
func quickest(runs int, work func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range runs {
		best = min(best, cpuTime(work))
	}
	return best
}

// No text takes much longer than ordinary text of the same length: at the 17 ms
// that a MiB of that takes, the factor stands for a second. (The library takes
// six minutes of a MiB of one letter.)
func TestNoTextIsSlow(t *testing.T) {
	const factor = 60
	var c Counter
	for e := range encodings {
		ordinary := append(prose(t), code(t)...)
		c.Count(e, ordinary)
		usual := quickest(5, func() { c.Count(e, ordinary) }).Seconds() / float64(len(ordinary))
		f := func(name string, text []byte) {
			t.Helper()
			took := quickest(2, func() { c.Count(e, text) }).Seconds() / float64(len(text))
			if took > factor*usual {
				t.Errorf("%s, %s: %.0f ns a byte, which is %.0f times the usual; want %d at most", e, name, took*1e9, took/usual, factor)
			}
		}
		for name, text := range hostile(64 << 10) {
			f(name, text)
		}
		f("a MiB of one letter", fill([]byte("a"), 1<<20))
	}
}

// The counter is quicker than the library by the factor that the price of
// owning it was paid for.
func TestQuickerThanTiktoken(t *testing.T) {
	const factor = 5
	var c Counter
	for _, e := range []Encoding{O200K, CL100K} {
		for name, text := range map[string][]byte{"prose": prose(t)[:64<<10], "code": code(t)[:64<<10]} {
			library, whole := oracle(t, e), string(text)
			want := len(library.EncodeOrdinary(whole))
			if got := c.Count(e, text); got != want {
				t.Fatalf("%s, %s: %d tokens, want %d", e, name, got, want)
			}
			theirs := quickest(5, func() { library.EncodeOrdinary(whole) })
			ours := quickest(20, func() { c.Count(e, text) })
			if theirs < factor*ours {
				t.Errorf("%s, %s: %v, the library takes %v; want a fifth at most", e, name, ours, theirs)
			}
		}
	}
}

// A counter that has seen such a text allocates nothing.
func TestNoAllocations(t *testing.T) {
	var c Counter
	texts := hostile(4 << 10)
	texts["prose"], texts["code"], texts["chinese"] = prose(t)[:8<<10], code(t)[:8<<10], chinese(t)[:8<<10]
	for e := range encodings {
		for name, text := range texts {
			if n := testing.AllocsPerRun(3, func() { c.Count(e, text) }); n != 0 {
				t.Errorf("%s, %s: %v allocations", e, name, n)
			}
		}
	}
}

// Nor does a tally, once it has room for the longest line of a function.
func TestTallyAllocatesNothing(t *testing.T) {
	budget := 1 << 30
	tally := newTally(new(Counter), "gpt-4o", &budget)
	text, image := []byte("some text"), dataURL(pngOf(640, 480))
	if n := testing.AllocsPerRun(100, func() {
		tally.Message()
		tally.Text(text)
		tally.Image(image, text)
		tally.Function(text, text)
		tally.Property(text, text, text)
		tally.EnumItem(text)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
