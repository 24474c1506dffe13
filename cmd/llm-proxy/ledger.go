package main

import (
	"context"
	"path/filepath"
	"time"

	"llmproxy/store"
	"llmproxy/usage"
)

// usageDir is where, in DATA_DIR, the usage journals are.
const usageDir = "usage"

// lastShipment is how long an end waits for the disk and the database to take
// the last usage records. What the database does not take by then stays in
// the journal, for the next process that starts in this DATA_DIR.
const lastShipment = 400 * time.Millisecond

// openLedger begins to write usage records down, unless USAGE_LEDGER is off.
func (g *gateway) openLedger() {
	g.sink = usage.Discard
	if !g.o.UsageLedger {
		return
	}
	g.usage = store.OpenUsage(g.store, store.UsageOptions{Dir: g.o.DataDir, Days: g.o.UsageRetentionDays})
	g.budgets = &budgetKeeper{Store: g.usage, purses: g.purses, spent: g.usage.Spent}
	g.ledger = usage.NewLedger(usage.Options{
		Dir: filepath.Join(g.o.DataDir, usageDir), Queue: g.o.UsageQueue, MaxBytes: g.o.UsageJournalMaxBytes,
		Store: g.budgets, Log: g.log,
	})
	g.sink = g.ledger
	g.showLedger()
}

// showLedger puts the ledger's state on the page of metrics.
func (g *gateway) showLedger() {
	m, l := g.metrics, g.ledger
	m.GaugeFunc("llm_proxy_usage_queue_length", l.Queued)
	m.GaugeFunc("llm_proxy_usage_journal_bytes", l.JournalBytes)
	m.SecondsFunc("llm_proxy_usage_journal_lag_seconds", l.JournalLag)
	m.CounterFunc("llm_proxy_usage_stored_total", "", "", l.Stored)
	m.CounterFunc("llm_proxy_usage_blocks_damaged_total", "", "", g.usage.Damaged)
	for _, reason := range usage.DropReasons {
		m.CounterFunc("llm_proxy_usage_dropped_total", "reason", reason, func() int64 { return l.Dropped(reason) })
	}
}

// closeLedger comes after the last request, and its token count, has ended.
func (g *gateway) closeLedger() {
	if g.ledger != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lastShipment)
		g.ledger.Close(ctx)
		cancel()
	}
	if g.usage != nil {
		g.usage.Close()
	}
}
