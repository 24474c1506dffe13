package main

import (
	"strings"
	"time"

	"llmproxy/health"
	"llmproxy/route"
)

// subjects lists the providers that serve now, for the health checks.
func (g *gateway) subjects() []health.Subject {
	t := g.live.Table()
	all := make([]health.Subject, 0, len(t.Providers))
	for _, p := range t.Providers {
		all = append(all, health.Subject{
			ID: p.ID, Key: p.Name, Enabled: p.Enabled, Models: namedModels(t, p), Probe: p.Client.Probe,
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
				return target.Breaker.State(time.Now().UnixNano()).String()
			}
		}
	}
	return ""
}
