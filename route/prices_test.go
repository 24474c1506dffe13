package route

import (
	"testing"

	"llmproxy/config"
)

func TestPriceOfAModel(t *testing.T) {
	set := declare("azure", "openai")
	for i, p := range []config.Price{
		{Model: "gpt-4o"},                             // 1
		{Model: "gpt-4o", Provider: "azure"},          // 2
		{Model: "gpt-*"},                              // 3
		{Model: "gpt-4o-*"},                           // 4
		{Model: "*", Provider: "azure"},               // 5
		{Model: "our-best"},                           // 6
		{Model: "text-embedding-*", Provider: "gone"}, // 7: of a provider that is not there
	} {
		p.ID = int64(i + 1)
		set.Prices = append(set.Prices, p)
	}
	table := build(t, newTestBuilder(), set, nil)
	f := func(provider int, own, public string, want int64) {
		t.Helper()
		got := int64(0)
		if p := table.Providers[provider].Price(own, public); p != nil {
			got = p.ID
		}
		if got != want {
			t.Errorf("%s as %s of %s: price %d, want %d", own, public, table.Providers[provider].Name, got, want)
		}
	}
	const azure, openai = 0, 1
	f(azure, "gpt-4o", "gpt-4o", 2)
	f(openai, "gpt-4o", "gpt-4o", 1)
	f(openai, "gpt-4o-mini", "gpt-4o-mini", 4) // the longest pattern
	f(openai, "gpt-5", "gpt-5", 3)
	f(openai, "gpt-4o", "our-best", 1) // the provider's own name first
	f(openai, "deployment-7", "our-best", 6)
	f(openai, "deployment-7", "gpt-4o-2024", 4)
	f(azure, "deployment-7", "our-best", 5) // the provider's price, if only by a pattern
	f(openai, "text-embedding-3-small", "text-embedding-3-small", 0)
}

func TestNoPrices(t *testing.T) {
	table := build(t, newTestBuilder(), declare("openai"), nil)
	if p := table.Providers[0].Price("gpt-4o", "gpt-4o"); p != nil {
		t.Errorf("got %+v", p)
	}
}
