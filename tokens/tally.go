package tokens

import (
	"bytes"
	"unicode/utf8"
)

// Count is how many tokens something has.
type Count struct {
	Tokens    int64
	Estimated bool // not all of it was counted, or not with the model's own encoding
}

// Estimate guesses the tokens of so many bytes of text: one for every four, as
// in English.
func Estimate(bytes int) int64 { return (int64(bytes) + 3) / 4 }

// What a chat costs beside its texts, as OpenAI's cookbook has it.
const (
	perMessage = 3
	perName    = 1
	perReply   = 3
)

// Tally adds up the tokens of one prompt or answer. It belongs to the goroutine
// that counts.
type Tally struct {
	encoding  Encoding
	budget    *int // bytes that may still be counted exactly, of the whole job
	estimated bool

	overhead int64
	exact    int64 // tokens of counted bytes
	counted  int   // bytes
	skipped  int   // bytes beyond the budget
	panics   uint64
}

// Text adds a text that stands by itself: a role, a content, a name. The text
// is not kept.
func (t *Tally) Text(text []byte) {
	exact := min(len(text), max(*t.budget, 0))
	*t.budget -= exact
	t.skipped += len(text) - exact
	for text = text[:exact]; len(text) > 0; {
		n, _ := cut(text)
		t.piece(text[:n])
		text = text[n:]
	}
}

// piece counts what cut has cut. A panic of the library costs no more than this
// piece, which is estimated.
func (t *Tally) piece(text []byte) {
	defer func() {
		if recover() != nil {
			t.exact += Estimate(len(text))
			t.estimated = true
			t.panics++
		}
	}()
	t.counted += len(text)
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD")) // or each bad byte would become three
		t.estimated = true
	}
	t.exact += int64(len(vocabulary(t.encoding).EncodeOrdinary(string(text))))
}

// Message adds what a message costs beside its role and content.
func (t *Tally) Message() { t.overhead += perMessage }

// Name adds what a message's name costs beside its text.
func (t *Tally) Name() { t.overhead += perName }

// Reply adds what it costs that a chat's answer is begun.
func (t *Tally) Reply() { t.overhead += perReply }

// Skip adds bytes of text that are not there to be counted.
func (t *Tally) Skip(bytes int) { t.skipped += bytes }

// Count is the sum. Skipped bytes are taken to be like the counted ones.
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
