package config

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func usd(text string) USD {
	u, err := ParseUSD(text)
	if err != nil {
		panic(err)
	}
	return u
}

func pointer(u USD) *USD { return &u }

func TestCost(t *testing.T) {
	full := &Price{Input: usd("2.5"), CachedInput: pointer(usd("1.25")), Output: usd("10"), Reasoning: pointer(usd("20"))}
	plain := &Price{Input: usd("2.5"), Output: usd("10")}
	f := func(p *Price, used Tokens, want string) {
		t.Helper()
		if got := p.Cost(used); got.String() != want {
			t.Errorf("%+v: got %s, want %s", used, got, want)
		}
	}
	f(full, Tokens{}, "0")
	f(full, Tokens{Prompt: 1_000_000}, "2.5")
	f(full, Tokens{Completion: 1_000_000}, "10")
	f(full, Tokens{Prompt: 1_000_000, Cached: 400_000}, "2")
	f(full, Tokens{Completion: 100, Reasoning: 50}, "0.0015")
	f(plain, Tokens{Prompt: 1_000_000, Cached: 400_000}, "2.5")
	f(plain, Tokens{Completion: 100, Reasoning: 50}, "0.001")
	// Rounded once, half up: 0.15 of a millionth is nothing, 0.5 is one.
	f(&Price{Input: usd("0.15")}, Tokens{Prompt: 1}, "0")
	f(&Price{Input: usd("0.5")}, Tokens{Prompt: 1}, "0.000001")
	f(&Price{Input: usd("0.25"), Output: usd("0.25")}, Tokens{Prompt: 1, Completion: 1}, "0.000001")
	// A provider's figures need not fit together.
	f(full, Tokens{Prompt: 10, Cached: 20}, "0.000013")
	f(full, Tokens{Prompt: -10, Cached: -20, Completion: -1}, "0")
	f(nil, Tokens{Prompt: 1_000_000}, "0")
}

// The cost is that of exact fractions, for any figures.
func TestCostIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Int64Range(0, int64(mostUSD))
		count := rapid.Int64Range(0, 1<<50)
		p := &Price{Input: USD(price.Draw(t, "input")), Output: USD(price.Draw(t, "output"))}
		if rapid.Bool().Draw(t, "own cached price") {
			p.CachedInput = pointer(USD(price.Draw(t, "cached")))
		}
		used := Tokens{Prompt: count.Draw(t, "prompt"), Completion: count.Draw(t, "completion")}
		used.Cached = rapid.Int64Range(0, used.Prompt).Draw(t, "cached tokens")

		total := new(big.Int)
		add := func(tokens int64, price USD) {
			total.Add(total, new(big.Int).Mul(big.NewInt(tokens), big.NewInt(int64(price))))
		}
		add(used.Prompt-used.Cached, p.Input)
		add(used.Cached, or(p.CachedInput, p.Input))
		add(used.Completion, p.Output)
		total.Add(total, big.NewInt(perMillion/2))
		total.Quo(total, big.NewInt(perMillion))
		want := USD(1<<63 - 1)
		if total.IsInt64() {
			want = USD(total.Int64())
		}
		if got := p.Cost(used); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestPriceIsChecked(t *testing.T) {
	f := func(change func(*Price), field string) {
		t.Helper()
		p := Price{Model: "gpt-4o*", Provider: "openai", Input: 1, Output: 2, Source: "https://openai.com/api/pricing", AsOf: "2026-01-31"}
		change(&p)
		problems := p.Validate()
		switch {
		case field == "" && len(problems) > 0:
			t.Errorf("%+v: %v", p, problems)
		case field != "" && (len(problems) != 1 || problems[0].Field != field):
			t.Errorf("%+v: got %v, want one problem of %s", p, problems, field)
		}
	}
	f(func(*Price) {}, "")
	f(func(p *Price) { p.Provider, p.Source, p.AsOf = "", "", "" }, "")
	f(func(p *Price) { p.Model = "" }, "model")
	f(func(p *Price) { p.Model = "a*b" }, "model")
	f(func(p *Price) { p.Provider = "a b" }, "provider")
	f(func(p *Price) { p.Input = -1 }, "input")
	f(func(p *Price) { p.Output = mostUSD + 1 }, "output")
	f(func(p *Price) { p.CachedInput = pointer(-1) }, "cached_input")
	f(func(p *Price) { p.Reasoning = pointer(-1) }, "reasoning")
	f(func(p *Price) { p.Source = "a\nb" }, "source")
	f(func(p *Price) { p.AsOf = "31.1.2026" }, "as_of")
}
