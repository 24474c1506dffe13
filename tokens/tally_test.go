package tokens

import (
	"strings"
	"testing"
)

// Numbers that OpenAI's cookbook gives ("How to count tokens with tiktoken").
func TestKnownTexts(t *testing.T) {
	f := func(text string, o200k, cl100k int64) {
		t.Helper()
		if got := count(O200K, text); got != o200k {
			t.Errorf("%q: %d tokens of o200k_base, want %d", text, got, o200k)
		}
		if got := count(CL100K, text); got != cl100k {
			t.Errorf("%q: %d tokens of cl100k_base, want %d", text, got, cl100k)
		}
	}
	f("", 0, 0)
	f("tiktoken is great!", 6, 6)
	f("antidisestablishmentarianism", 6, 6)
	f("2 + 2 = 4", 7, 7)
	f("お誕生日おめでとう", 8, 9)

	// A special token's name in a text is a text.
	f("<|endoftext|>", 7, 7)
}

// What goes beyond the budget is taken to be like what was counted.
func TestExtrapolation(t *testing.T) {
	text := []byte(strings.Repeat("All of it is alike. ", 1000))
	all := count(O200K, string(text))
	f := func(budget int, bring func(*Tally), want, tolerance int64, estimated bool) {
		t.Helper()
		left := budget
		tally := newTally(new(Counter), "gpt-4o", &left)
		bring(tally)
		got := tally.Count()
		if got.Tokens < want-tolerance || got.Tokens > want+tolerance || got.Estimated != estimated {
			t.Errorf("budget of %d bytes: got %+v, want %d±%d, estimated %t", budget, got, want, tolerance, estimated)
		}
		if left < 0 || left > budget {
			t.Errorf("%d bytes of the budget of %d are left", left, budget)
		}
	}
	whole := func(t *Tally) { t.Text(text) }
	f(len(text), whole, all, 0, false)
	f(len(text)-1, whole, all, 1, true)
	f(len(text)/2, whole, all, all/100, true)
	f(1000, whole, all, all/50, true)
	f(0, whole, Estimate(len(text)), 0, true)

	f(len(text), func(t *Tally) { t.Text(text[:len(text)/2]); t.Skip(len(text) / 2) }, all, all/100, true)
	f(100, func(t *Tally) { t.Skip(400) }, 100, 0, true)
	f(100, func(t *Tally) { t.Message(); t.Name(nil); t.Reply(); t.Tokens(5) }, 12, 0, false)
	f(100, func(t *Tally) { t.Message(); t.Unknown() }, 3, 0, true)
	f(100, func(*Tally) {}, 0, 0, false)

	// Several texts share the budget.
	f(len(text), func(t *Tally) { t.Text(text[:10_000]); t.Text(text[10_000:]) }, all, 2, false)
}

func TestEstimate(t *testing.T) {
	f := func(bytes int, want int64) {
		t.Helper()
		if got := Estimate(bytes); got != want {
			t.Errorf("%d bytes: got %d, want %d", bytes, got, want)
		}
	}
	f(0, 0)
	f(1, 1)
	f(4, 1)
	f(5, 2)
	f(4000, 1000)
}

// JSON holds no such texts, but a provider may send anything.
func TestTextThatIsNoUTF8(t *testing.T) {
	budget := 1 << 20
	tally := newTally(new(Counter), "gpt-4", &budget)
	tally.Text([]byte("good text, then \xff\xfe\xfd"))
	if got, want := tally.Count().Tokens, count(CL100K, "good text, then \ufffd\ufffd\ufffd"); got != want || !tally.Count().Estimated {
		t.Errorf("got %+v, want %d, estimated", tally.Count(), want)
	}
}

// A panic costs an estimate of a text.
func TestPanicWhileCounting(t *testing.T) {
	budget := 1 << 20
	tally := &Tally{counter: new(Counter), encoding: encodings, budget: &budget} // there is no such vocabulary
	tally.Text(make([]byte, 400))
	if got := tally.Count(); got != (Count{Tokens: 100, Estimated: true}) || tally.panics != 1 {
		t.Errorf("got %+v after %d panics", got, tally.panics)
	}
}

// count counts a text by itself.
func count(e Encoding, text string) int64 { return int64(new(Counter).Count(e, []byte(text))) }
