package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/openai"
	"llmproxy/route"
)

// Usage tells what keys have used, as far as that is stored.
type Usage interface {
	// OfKey returns what the credential of this id has used up to now; id 0
	// are the requests without one. ctx bounds the time it may take.
	OfKey(ctx context.Context, id int64, now time.Time) (KeyUsage, error)
}

// KeyUsage is what a key has used in the present day and month (UTC).
type KeyUsage struct {
	Today  Used        `json:"today"`
	Month  Used        `json:"month"`
	Models []ModelUsed `json:"models"` // of the month, that with the most requests first; never nil, MaxUsageModels at most
}

// MaxUsageModels is how many models the usage of a key tells apart.
const MaxUsageModels = 100

// Used is what was used from a moment on.
type Used struct {
	From time.Time `json:"from"`
	Figures
}

// ModelUsed is what was used of a model.
type ModelUsed struct {
	Model string `json:"model"`
	Figures
}

// Figures are sums over requests.
type Figures struct {
	Requests   int64      `json:"requests"`
	Errors     int64      `json:"errors"`
	Prompt     int64      `json:"prompt_tokens"`
	Completion int64      `json:"completion_tokens"`
	Cached     int64      `json:"cached_tokens"`    // part of Prompt
	Reasoning  int64      `json:"reasoning_tokens"` // part of Completion
	Cost       config.USD `json:"cost_usd"`
}

// usagePage is the answer of GET /v1/usage.
type usagePage struct {
	Object  string    `json:"object"`
	KeyName string    `json:"key_name"`
	AsOf    time.Time `json:"as_of"`
	KeyUsage
	Budget *budgetShown `json:"budget"` // null: the key has none
	Limits limitsShown  `json:"limits"`
}

type budgetShown struct {
	Limit    config.USD    `json:"limit_usd"`
	Spent    config.USD    `json:"spent_usd"` // what is set aside for requests under way included
	Period   config.Period `json:"period"`
	ResetsAt *time.Time    `json:"resets_at"` // null: never
}

// limitsShown are the key's limits; null is none.
type limitsShown struct {
	RateLimit      *int64     `json:"rate_limit"`
	TPMLimit       *int64     `json:"tpm_limit"`
	MaxConcurrency *int64     `json:"max_concurrency"`
	ExpiresAt      *time.Time `json:"expires_at"`
}

// showUsage serves GET /v1/usage: what the key that asks has used, and of no
// other. Nothing in the request says whose it is but the key itself.
func (s *Server) showUsage(ctx *fasthttp.RequestCtx, caller *route.Caller, table *route.Table) error {
	if s.usage.source == nil {
		return openai.ErrNoUsage()
	}
	at := now()
	used, asOf, err := s.usage.of(caller.ID, at)
	if err != nil {
		return openai.ErrUsageUnavailable(err)
	}
	page := usagePage{Object: "usage", KeyName: caller.Name, AsOf: asOf, KeyUsage: used}
	if c := declared(table, caller.ID); c != nil {
		page.Limits = limitsOf(c)
		page.Budget = budgetOf(caller, c.BudgetPeriod, at)
	}
	body, err := json.Marshal(page)
	if err != nil {
		return err
	}
	writeJSON(ctx, body)
	return nil
}

// declared returns the credential that a caller was made of; nil for the
// anonymous one.
func declared(table *route.Table, id int64) *config.Credential {
	all := table.Set().Credentials
	for i := range all {
		if all[i].ID == id {
			return &all[i]
		}
	}
	return nil
}

func limitsOf(c *config.Credential) limitsShown {
	l := limitsShown{RateLimit: c.RateLimit, TPMLimit: c.TPMLimit, MaxConcurrency: c.MaxConcurrency}
	if !c.ExpiresAt.IsZero() {
		at := c.ExpiresAt.UTC()
		l.ExpiresAt = &at
	}
	return l
}

func budgetOf(caller *route.Caller, period config.Period, now int64) *budgetShown {
	limit, spent, until, ok := caller.BudgetState(now)
	if !ok {
		return nil
	}
	if period == "" {
		period = config.PeriodMonth
	}
	b := &budgetShown{Limit: limit, Spent: spent, Period: period}
	if !until.IsZero() {
		b.ResetsAt = &until
	}
	return b
}
