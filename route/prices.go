package route

import (
	"cmp"
	"slices"
	"strings"

	"llmproxy/config"
)

// prices finds what a model costs: by its full name, else by the longest
// pattern that matches. A nil *prices has none.
type prices struct {
	exact    map[string]*config.Price
	patterns []*config.Price // longest first
}

// sortPrices puts the prices of a Set together by the provider that they hold
// for; "" is every provider.
func sortPrices(set *config.Set) map[string]*prices {
	all := map[string]*prices{}
	for i := range set.Prices {
		price := &set.Prices[i]
		p := all[price.Provider]
		if p == nil {
			p = &prices{exact: map[string]*config.Price{}}
			all[price.Provider] = p
		}
		if strings.HasSuffix(price.Model, "*") {
			p.patterns = append(p.patterns, price)
		} else {
			p.exact[price.Model] = price
		}
	}
	for _, p := range all {
		slices.SortFunc(p.patterns, func(a, b *config.Price) int { return cmp.Compare(len(b.Model), len(a.Model)) })
	}
	return all
}

// find returns the price of a model by the provider's own name, or else by the
// public one; nil if there is none.
func (p *prices) find(own, public string) *config.Price {
	if p == nil {
		return nil
	}
	if price := p.exact[own]; price != nil {
		return price
	}
	if price := p.exact[public]; price != nil {
		return price
	}
	for _, price := range p.patterns {
		if prefix := price.Model[:len(price.Model)-1]; strings.HasPrefix(own, prefix) || strings.HasPrefix(public, prefix) {
			return price
		}
	}
	return nil
}

// Price returns what the provider takes for the model of that public name,
// which is own to the provider: its own price before that of every provider;
// nil if none is declared.
func (p *Provider) Price(own, public string) *config.Price {
	if price := p.prices.find(own, public); price != nil {
		return price
	}
	return p.anyPrices.find(own, public)
}
