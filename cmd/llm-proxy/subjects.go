package main

import (
	"strings"

	"llmproxy/health"
	"llmproxy/route"
)

// subjects lists the providers that serve now, for the health checks.
func (g *gateway) subjects() []health.Subject {
	t := g.live.Table()
	all := make([]health.Subject, 0, len(t.Providers))
	for _, p := range t.Providers {
		all = append(all, health.Subject{
			ID: p.ID, Key: p.Name, Enabled: p.Enabled, Models: namedModels(p), Probe: p.Client.Probe,
		})
	}
	return all
}

// namedModels lists the models that the provider declares in full.
func namedModels(p *route.Provider) []health.Named {
	var named []health.Named
	for _, public := range p.Models {
		if !strings.HasSuffix(public, "*") {
			named = append(named, health.Named{Public: public, Own: p.UpstreamName(public)})
		}
	}
	return named
}
