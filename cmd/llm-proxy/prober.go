package main

import (
	"context"

	"llmproxy/admin"
	"llmproxy/health"
)

type adminProber struct{ *health.Checker }

func (p adminProber) Check(ctx context.Context, q admin.HealthQuery) admin.HealthReport {
	p.Checker.Check(ctx, health.Query{ProviderIDs: q.ProviderIDs})
	return admin.HealthReport{}
}
