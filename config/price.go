package config

import (
	"math/bits"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Price is what a million tokens of a model cost, in US dollars.
type Price struct {
	ID int64
	// Model is the provider's own name of the model, or a public name; it may
	// end in one '*', which matches any rest.
	Model string
	// Provider is the provider_key that the price holds for; "" is all of them.
	Provider string

	Input       USD  // per million tokens of a prompt
	Output      USD  // per million tokens of an answer
	CachedInput *USD // for the part of a prompt that the provider had in its cache; nil: as Input
	Reasoning   *USD // for the part of an answer that is not shown; nil: as Output

	Source    string // where the figure is from, an address or a word
	AsOf      string // the day it was looked up, "2006-01-02"; "" is unknown
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Tokens are what one request used: Cached are part of Prompt, Reasoning of
// Completion.
type Tokens struct{ Prompt, Completion, Cached, Reasoning int64 }

// perMillion is how many tokens a price is for.
const perMillion = 1_000_000

// Cost returns what the tokens cost, rounded to a millionth of a dollar (half
// of one goes up), once for the whole request. A nil Price costs nothing.
func (p *Price) Cost(used Tokens) USD {
	if p == nil {
		return 0
	}
	cached := clamp(used.Cached, used.Prompt)
	reasoning := clamp(used.Reasoning, used.Completion)
	var sum sum
	sum.add(used.Prompt-cached, p.Input)
	sum.add(cached, or(p.CachedInput, p.Input))
	sum.add(used.Completion-reasoning, p.Output)
	sum.add(reasoning, or(p.Reasoning, p.Output))
	return sum.perMillion()
}

// clamp brings a part between none and all of the whole: a provider's figures
// need not fit together.
func clamp(part, whole int64) int64 { return max(0, min(part, whole)) }

func or(own *USD, other USD) USD {
	if own != nil {
		return *own
	}
	return other
}

// sum is an unsigned sum of products in 128 bits.
type sum struct{ hi, lo uint64 }

func (s *sum) add(tokens int64, price USD) {
	if tokens <= 0 || price <= 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(tokens), uint64(price))
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, lo, 0)
	s.hi, _ = bits.Add64(s.hi, hi, carry)
}

// perMillion divides and rounds; what no USD can hold is the most it can.
func (s *sum) perMillion() USD {
	lo, carry := bits.Add64(s.lo, perMillion/2, 0)
	hi := s.hi + carry
	const most = 1<<63 - 1
	if hi >= perMillion {
		return most
	}
	quotient, _ := bits.Div64(hi, lo, perMillion)
	return USD(min(quotient, most))
}

// Validate returns every fault of the price, under the names of the Admin API.
func (p *Price) Validate() Problems {
	var problems Problems
	problems.add("model", checkModel(p.Model))
	if p.Provider != "" {
		problems.add("provider", checkLabel(p.Provider))
	}
	problems.add("input", checkUSD(p.Input))
	problems.add("output", checkUSD(p.Output))
	problems.add("cached_input", checkUSD(or(p.CachedInput, 0)))
	problems.add("reasoning", checkUSD(or(p.Reasoning, 0)))
	problems.add("source", checkSource(p.Source))
	problems.add("as_of", checkDay(p.AsOf))
	return problems
}

const maxSource = 512

func checkSource(text string) string {
	if len(text) > maxSource || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "must be at most 512 bytes of printable text"
	}
	return ""
}

func checkDay(text string) string {
	if _, err := time.Parse(time.DateOnly, text); text != "" && err != nil {
		return "must be a day such as 2026-01-31"
	}
	return ""
}
