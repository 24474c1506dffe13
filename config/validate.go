package config

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxAPIKey    = 4096
	maxWeight    = 1_000_000
	maxPriority  = 1000
	maxRateLimit = 100_000_000
	maxTPMLimit  = 1_000_000_000_000
	maxName      = 128
	maxPreview   = 64
)

// Validate returns nil, or Problems with every fault of the set. Fields carry
// the object's name: "providers[openai-main].api_base".
func (s *Set) Validate() error {
	var all Problems
	keys := map[string]bool{}
	for i := range s.Providers {
		p := &s.Providers[i]
		problems := p.Validate()
		if keys[p.Key] {
			problems.add("provider_key", "is used by another provider too")
		}
		keys[p.Key] = true
		all = append(all, problems.within(place("providers", p.Key, checkLabel(p.Key), i))...)
	}
	hashes := map[string]bool{}
	for i := range s.Credentials {
		c := &s.Credentials[i]
		problems := c.Validate()
		if hashes[c.Hash] {
			problems.add("key", "is used by another credential too")
		}
		hashes[c.Hash] = true
		all = append(all, problems.within(place("credentials", c.Name, checkName(c.Name), i))...)
	}
	return append(all, s.checkPrices()...).Err()
}

// checkPrices looks at every price; two for one model and provider would be a guess.
func (s *Set) checkPrices() Problems {
	var all Problems
	seen := map[[2]string]bool{}
	for i := range s.Prices {
		p := &s.Prices[i]
		problems := p.Validate()
		if seen[[2]string{p.Provider, p.Model}] {
			problems.add("model", "has another price of the same provider")
		}
		seen[[2]string{p.Provider, p.Model}] = true
		all = append(all, problems.within(place("prices", p.Model, checkModel(p.Model), i))...)
	}
	return all
}

// place names an object of a set: by its own name, or by its index when the
// name is itself at fault.
func place(list, name, fault string, i int) string {
	if fault != "" {
		return fmt.Sprintf("%s[%d]", list, i)
	}
	return list + "[" + Quoted(name) + "]"
}

// Normalize brings every object of the set into the form that is kept.
func (s *Set) Normalize() {
	for i := range s.Providers {
		s.Providers[i].Normalize()
	}
}

// Normalize brings the provider into the form that is kept: an address
// without slashes at its end.
func (p *Provider) Normalize() {
	p.APIBase = strings.TrimRight(p.APIBase, "/")
}

// Validate returns every fault of the provider, under the names of the Admin
// API. Call Normalize before it.
func (p *Provider) Validate() Problems {
	var problems Problems
	problems.add("provider_key", checkLabel(p.Key))
	problems.add("provider_type", checkType(p.Type))
	problems.add("api_base", checkAPIBase(p.APIBase))
	problems.add("api_key", checkToken(p.APIKey.Reveal(), maxAPIKey))
	problems = append(problems, checkMapping(p.ModelMapping)...)
	problems = append(problems, p.Params.validate()...)
	problems.add("weight", between(int64(p.Weight), 0, maxWeight))
	problems.add("priority", between(int64(p.Priority), 0, maxPriority))
	return problems
}

// Validate returns every fault of the credential, under the names of the
// Admin API.
func (c *Credential) Validate() Problems {
	var problems Problems
	problems.add("key", checkHash(c.Hash))
	problems.add("key_preview", checkPreview(c.Preview))
	problems.add("name", checkName(c.Name))
	for i, model := range c.AllowedModels {
		problems.add(allowedField(i), checkModel(model))
	}
	problems.add("rate_limit", limitBetween(c.RateLimit, maxRateLimit))
	problems.add("tpm_limit", limitBetween(c.TPMLimit, maxTPMLimit))
	problems.add("budget_usd", checkUSD(or(c.Budget, 0)))
	if _, ok := ParsePeriod(string(c.BudgetPeriod)); !ok && c.BudgetPeriod != "" {
		problems.add("budget_period", WantPeriod)
	}
	problems.add("max_concurrency", limitBetween(c.MaxConcurrency, maxConcurrency))
	return problems
}

// WantPeriod says what a budget_period must be.
const WantPeriod = "must be day, month or total"

// limitBetween is between for a limit that may be absent.
func limitBetween(limit *int64, most int64) string {
	if limit == nil {
		return ""
	}
	return between(*limit, 0, most)
}

// checkMapping looks at every pair, in the order of the public names.
func checkMapping(mapping map[string]string) Problems {
	names := make([]string, 0, len(mapping))
	for name := range mapping {
		names = append(names, name)
	}
	sort.Strings(names)
	var problems Problems
	for _, name := range names {
		if fault := checkModel(name); fault != "" {
			problems.add(mappingField(name), "the name "+fault)
		}
		to := mapping[name]
		if fault := checkModel(to); fault != "" {
			problems.add(mappingField(name), "the provider's name "+fault)
		} else if strings.HasSuffix(to, "*") && !strings.HasSuffix(name, "*") {
			problems.add(mappingField(name), "the provider's name may end in * only where the name does")
		}
	}
	return problems
}

// checkLabel is for a provider_key, which becomes a label and a header.
func checkLabel(key string) string {
	if !isMadeOf(key, func(r rune) bool { return isWord(r) || r == '.' || r == '-' }) {
		return "must be 1 to 64 letters, digits, dots, dashes or underscores"
	}
	return ""
}

func checkType(name string) string {
	if !isMadeOf(name, func(r rune) bool { return isWord(r) && !unicode.IsUpper(r) || r == '-' }) {
		return "must be 1 to 64 lower-case letters, digits, dashes or underscores"
	}
	return ""
}

// isMadeOf reports whether s is 1 to 64 of the runes that fit.
func isMadeOf(s string, fit func(rune) bool) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return !fit(r) })
}

// checkToken is for a key that travels in a header; empty is content.
func checkToken(key string, most int) string {
	switch {
	case len(key) > most:
		return fmt.Sprintf("must be at most %d characters", most)
	case strings.ContainsFunc(key, notVisibleASCII):
		return "must be printable ASCII without spaces or line breaks"
	}
	return ""
}

func checkName(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "must not be empty"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("must be at most %d characters", maxName)
	case !utf8.ValidString(name):
		return "must be valid UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "must be printable"
	}
	return ""
}

func checkHash(hash string) string {
	digits := strings.ContainsFunc(hash, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f') })
	if len(hash) != 64 || digits {
		return "must be kept as a SHA-256 in 64 lower-case hex digits"
	}
	return ""
}

func checkPreview(preview string) string {
	if len(preview) > maxPreview || !utf8.ValidString(preview) || strings.ContainsFunc(preview, unicode.IsControl) {
		return fmt.Sprintf("must be at most %d printable bytes", maxPreview)
	}
	return ""
}

// between says that n must lie from least to most, when it does not.
func between(n, least, most int64) string {
	if n < least || n > most {
		return wantNumber(least, most)
	}
	return ""
}

func wantNumber(least, most int64) string {
	return fmt.Sprintf("must be a whole number from %d to %d", least, most)
}
