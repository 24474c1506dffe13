package main

import (
	"context"
	"time"

	"llmproxy/admin"
	"llmproxy/config"
	"llmproxy/server"
	"llmproxy/store"
)

// keyUsage tells clients what the ledger holds of their keys.
type keyUsage struct{ ledger *store.Usage }

// usageOfKeys is what the data plane asks; nil without a ledger.
func (g *gateway) usageOfKeys() server.Usage {
	if g.usage == nil {
		return nil
	}
	return keyUsage{g.usage}
}

// usageOfAll is what the Admin API asks; nil without a ledger.
func (g *gateway) usageOfAll() admin.Usage {
	if g.usage == nil {
		return nil
	}
	return g.usage
}

// OfKey implements server.Usage.
func (k keyUsage) OfKey(ctx context.Context, id int64, now time.Time) (server.KeyUsage, error) {
	today, month := config.PeriodDay.Since(now), config.PeriodMonth.Since(now)
	used := server.KeyUsage{Today: server.Used{From: today}, Month: server.Used{From: month}}
	filter := store.UsageFilter{KeyID: &id, From: month, To: config.PeriodMonth.Until(now)}
	days, err := k.ledger.Sums(ctx, store.UsageQuery{UsageFilter: filter, GroupBy: []string{"day"}})
	if err != nil {
		return server.KeyUsage{}, err
	}
	for i := range days {
		addFigures(&used.Month.Figures, &days[i].UsageTotals)
		if days[i].Time.Equal(today) {
			addFigures(&used.Today.Figures, &days[i].UsageTotals)
		}
	}
	models, err := k.ledger.Sums(ctx, store.UsageQuery{UsageFilter: filter, GroupBy: []string{"model"}, Limit: server.MaxUsageModels})
	if err != nil {
		return server.KeyUsage{}, err
	}
	used.Models = make([]server.ModelUsed, len(models))
	for i := range models {
		used.Models[i].Model = models[i].Model
		addFigures(&used.Models[i].Figures, &models[i].UsageTotals)
	}
	return used, nil
}

func addFigures(to *server.Figures, t *store.UsageTotals) {
	to.Requests += t.Requests
	to.Errors += t.Errors
	to.Prompt += t.Prompt
	to.Completion += t.Completion
	to.Cached += t.Cached
	to.Reasoning += t.Reasoning
	to.Cost += config.USD(t.CostMicroUSD)
}
