package route

import (
	"testing"
	"time"

	"llmproxy/budget"
	"llmproxy/config"
)

// limited is a Table with one key that has these limits, and prices of two
// providers of one model: 1 and 2 dollars per million tokens of a prompt.
func limited(t *testing.T, b *Builder, change func(*config.Credential), old *Table) (*Table, *Caller) {
	t.Helper()
	set := declare("cheap gpt=own", "dear gpt=own")
	set.Prices = []config.Price{
		{Model: "own", Provider: "cheap", Input: config.OneUSD, Output: 10 * config.OneUSD},
		{Model: "own", Provider: "dear", Input: 2 * config.OneUSD, Output: 20 * config.OneUSD},
	}
	c := config.Credential{ID: 1, Name: "team", Hash: config.HashKey("sk-team"), Enabled: true}
	change(&c)
	set.Credentials = []config.Credential{c}
	table := build(t, b, set, old)
	return table, table.Caller([]byte("sk-team"))
}

const holdAt = 1_700_000_000_000_000_000 // 2023-11-14

func TestHoldTokens(t *testing.T) {
	table, c := limited(t, newTestBuilder(), func(c *config.Credential) { c.TPMLimit = new(int64(1000)) }, nil)
	r := table.Route([]byte("gpt"))
	h, v, refusal := c.Hold(r, "gpt", config.Tokens{Prompt: 300, Completion: 500}, holdAt)
	if refusal != NotRefused || v.Remaining != 200 || v.Limit != 1000 {
		t.Fatalf("got %v, %+v", refusal, v)
	}
	if _, v, refusal := c.Hold(r, "gpt", config.Tokens{Prompt: 300}, holdAt); refusal != TokensSpent || v.RetryAfter == 0 {
		t.Errorf("more than is left: %v, %+v", refusal, v)
	}
	h.Settle(config.Tokens{Prompt: 300, Completion: 20}, 0, true, holdAt)
	h.Settle(config.Tokens{Prompt: 300, Completion: 20}, 0, true, holdAt) // the second changes nothing
	if _, v, refusal := c.Hold(r, "gpt", config.Tokens{Prompt: 680}, holdAt); refusal != NotRefused || v.Remaining != 0 {
		t.Errorf("what was not used is not given back: %v, %+v", refusal, v)
	}
	if got := c.Expect(); got != 20 {
		t.Errorf("expects %d after an answer of 20", got)
	}
}

// What may be spent is reckoned at the dearest provider, and what a refused
// budget had set aside of the tokens is free again.
func TestHoldMoney(t *testing.T) {
	b := newTestBuilder()
	b.Purses = budget.NewPurses()
	dollars := 3 * config.OneUSD
	table, c := limited(t, b, func(c *config.Credential) { c.Budget, c.TPMLimit = &dollars, new(int64(10_000_000)) }, nil)
	r := table.Route([]byte("gpt"))
	million := config.Tokens{Prompt: 1_000_000}
	h, _, refusal := c.Hold(r, "gpt", million, holdAt)
	if refusal != NotRefused {
		t.Fatal(refusal)
	}
	if _, _, refusal := c.Hold(r, "gpt", million, holdAt); refusal != BudgetSpent {
		t.Errorf("2 + 2 dollars of 3: %v", refusal)
	}
	h.Settle(million, config.OneUSD, true, holdAt) // it was the cheap one
	h, v, refusal := c.Hold(r, "gpt", million, holdAt)
	if refusal != NotRefused || v.Remaining != 8_000_000 {
		t.Errorf("1 + 2 dollars of 3: %v, %+v", refusal, v)
	}
	limit, spent, until, ok := c.BudgetState(holdAt)
	if !ok || limit != dollars || spent != dollars || !until.Equal(time.Date(2023, 12, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("state: %s of %s until %v, %t", spent, limit, until, ok)
	}
	h.Settle(config.Tokens{}, 0, false, holdAt)

	// A reload keeps what is spent.
	_, again := limited(t, b, func(c *config.Credential) { c.Budget = &dollars }, table)
	if _, spent, _, _ := again.BudgetState(holdAt); spent != config.OneUSD {
		t.Errorf("after a reload %s are spent", spent)
	}
}

func TestNothingToHold(t *testing.T) {
	_, c := limited(t, newTestBuilder(), func(*config.Credential) {}, nil)
	if c.Meters() || c.Seats != nil || c.Expired(holdAt) {
		t.Errorf("%+v has limits", c)
	}
	var none Held
	none.Settle(config.Tokens{Prompt: 1}, 1, true, holdAt)
	if _, _, _, ok := c.BudgetState(holdAt); ok {
		t.Error("it has a budget")
	}
}

func TestSeatsAndExpiry(t *testing.T) {
	b := newTestBuilder()
	at := time.Unix(0, holdAt)
	table, c := limited(t, b, func(c *config.Credential) { c.MaxConcurrency, c.ExpiresAt = new(int64(1)), at }, nil)
	if !c.Expired(holdAt) || c.Expired(holdAt-1) {
		t.Error("it does not expire when it should")
	}
	if !c.Seats.Take() || c.Seats.Take() {
		t.Error("one seat is not one")
	}
	// Who sits, sits over a reload.
	_, again := limited(t, b, func(c *config.Credential) { c.MaxConcurrency = new(int64(2)) }, table)
	if !again.Seats.Take() || again.Seats.Take() {
		t.Error("after a reload to two seats, one must be free")
	}
}

func TestHoldAllocatesNothing(t *testing.T) {
	b := newTestBuilder()
	b.Purses = budget.NewPurses()
	dollars := 1000 * config.OneUSD
	table, c := limited(t, b, func(c *config.Credential) { c.Budget, c.TPMLimit = &dollars, new(int64(1_000_000_000_000)) }, nil)
	r := table.Route([]byte("gpt"))
	if n := testing.AllocsPerRun(100, func() {
		h, _, _ := c.Hold(r, "gpt", config.Tokens{Prompt: 10, Completion: 10}, holdAt)
		h.Settle(config.Tokens{Prompt: 10}, 1, true, holdAt)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
