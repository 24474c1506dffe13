package tokens

import "unicode/utf8"

// Count is how many tokens something has.
type Count struct {
	Tokens    int64
	Estimated bool // not all of it was counted, or not with the model's own encoding
}

// Estimate guesses the tokens of so many bytes of text: one for every four, as
// in English.
func Estimate(bytes int) int64 { return (int64(bytes) + 3) / 4 }

// Tally adds up the tokens of one prompt or answer. It belongs to the goroutine
// that counts.
type Tally struct {
	counter   *Counter
	model     string
	encoding  Encoding
	budget    *int // bytes that may still be counted exactly, of the whole job
	estimated bool

	overhead int64
	exact    int64 // tokens of counted bytes
	counted  int   // bytes
	skipped  int   // bytes beyond the budget
	panics   uint64

	tools toolTally
}

func newTally(c *Counter, model string, budget *int) *Tally {
	encoding, known := EncodingOf(model)
	return &Tally{counter: c, model: model, encoding: encoding, budget: budget, estimated: !known}
}

// Text adds a text that stands by itself: a role, a content, a name. The text
// is not kept.
func (t *Tally) Text(text []byte) {
	exact := min(len(text), max(*t.budget, 0))
	*t.budget -= exact
	t.skipped += len(text) - exact
	t.count(text[:exact])
}

// count counts within the budget. A panic costs no more than this text, which
// is estimated.
func (t *Tally) count(text []byte) {
	defer func() {
		if recover() != nil {
			t.exact += Estimate(len(text))
			t.estimated = true
			t.panics++
		}
	}()
	t.counted += len(text)
	if !utf8.Valid(text) { // what a provider makes of that is its own business
		t.estimated = true
	}
	t.exact += int64(t.counter.Count(t.encoding, text))
}

// Tokens adds tokens that the client sent as numbers.
func (t *Tally) Tokens(n int) { t.exact += int64(n) }

// Unknown notes that there is something that nobody has said how to count.
func (t *Tally) Unknown() { t.estimated = true }

// Skip adds bytes of text that are not there to be counted.
func (t *Tally) Skip(bytes int) { t.skipped += bytes }

// Count is the sum so far. Skipped bytes are taken to be like the counted ones.
func (t *Tally) Count() Count {
	c := Count{Tokens: t.overhead + t.exact, Estimated: t.estimated || t.skipped > 0}
	switch {
	case t.skipped == 0:
	case t.counted == 0:
		c.Tokens += Estimate(t.skipped)
	default:
		c.Tokens += int64(float64(t.skipped) * float64(t.exact) / float64(t.counted))
	}
	return c
}
