package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"llmproxy/breaker"
	"llmproxy/health"
	"llmproxy/route"
	"llmproxy/upstream"
)

// subjects lists the providers that serve now, for the health checks.
func (g *gateway) subjects() []health.Subject {
	t := g.live.Table()
	all := make([]health.Subject, 0, len(t.Providers))
	for _, p := range t.Providers {
		all = append(all, health.Subject{
			ID: p.ID, Key: p.Name, Enabled: p.Enabled, Circuit: worstCircuit(t, p), Models: namedModels(t, p), Probe: p.Client.Probe,
		})
	}
	return all
}

// namedModels lists the models that the provider declares in full.
func namedModels(t *route.Table, p *route.Provider) []health.Named {
	var named []health.Named
	for _, public := range p.Models {
		if !strings.HasSuffix(public, "*") {
			named = append(named, health.Named{Public: public, Own: p.UpstreamName(public), Circuit: circuit(t, p, public)})
		}
	}
	return named
}

// circuit is the state of the breaker of a provider's model; "" if the
// provider is off.
func circuit(t *route.Table, p *route.Provider, public string) string {
	if r := t.Route([]byte(public)); r != nil {
		for target := range r.Targets {
			if target.Provider == p {
				return target.State().String()
			}
		}
	}
	return ""
}

// worstCircuit is the state of the provider's worst breaker, also of those of
// models that are not declared by name; "" if it is off.
func worstCircuit(t *route.Table, p *route.Provider) string {
	if !p.Enabled {
		return ""
	}
	worst := breaker.Closed
	t.TargetsOf(p, func(target *route.Target) bool {
		worst = max(worst, target.State())
		return true
	})
	return worst.String()
}

// watched lists the providers that are to be asked at intervals. What a check
// finds counts for the breakers as a client's request does, and one success
// closes them at once.
func (g *gateway) watched() []health.Watched {
	t := g.live.Table()
	var all []health.Watched
	for _, p := range t.Providers {
		if p.Check == nil || !p.Enabled {
			continue
		}
		all = append(all, health.Watched{
			Key: p.Name, Interval: time.Duration(p.Check.IntervalSecs) * time.Second,
			Probe:  func(ctx context.Context) error { return checkOnce(ctx, p) },
			Report: func(err error) { g.reportCheck(t, p, err) },
		})
	}
	return all
}

// checkOnce makes one health check.
func checkOnce(ctx context.Context, p *route.Provider) error {
	if p.Check.Model != "" {
		_, err := p.Client.Probe(ctx, p.UpstreamName(p.Check.Model), health.DefaultTimeout)
		return err
	}
	return p.Client.Get(ctx, cmp.Or(p.Check.Path, "/models"))
}

// reportCheck tells the breakers of a provider, or of the one model that was
// asked for, what a check found.
func (g *gateway) reportCheck(t *route.Table, p *route.Provider, err error) {
	now := route.Now()
	report := func(target *route.Target) bool {
		pass, _ := target.Breaker.Enter(now)
		switch status := upstream.Refusal(err); {
		case err == nil:
			target.Succeeded(pass, now)
		case status == 401, status == 403:
			target.Refused(pass, now)
		case status == 429:
			target.Limited(pass, now, 0)
		default:
			target.Failed(pass, now)
		}
		return true
	}
	if err != nil {
		g.log.Warn("health check failed", "provider", p.Name, "error", err)
	}
	if p.Check.Model == "" {
		t.TargetsOf(p, report)
		return
	}
	if r := t.Route([]byte(p.Check.Model)); r != nil {
		for target := range r.Targets {
			if target.Provider == p {
				report(target)
			}
		}
	}
}
