package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// asked selects what is known of the providers that the variables choose.
const asked = `{instance=~"$instance",provider=~"$provider"}`

// providers is for whoever looks after the providers: which are fit, which
// are slow, what they did wrong.
func providers() *dashboard.DashboardBuilder {
	b := board("llm-proxy-providers", "LLM Proxy / Providers",
		"Which providers are fit to be asked, how fast they are, and what they did wrong.", provider, model)
	providerState(b)
	providerSpeed(b)
	providerFaults(b)
	row(b, "Load", 8,
		shares("Share of the requests", "The part of the requests that each provider answered.",
			query{"{{provider}}", `sum by (provider) (rate(llm_proxy_requests_total` + streams + `[$__rate_interval])) / ignoring (provider) group_left () sum(rate(llm_proxy_requests_total` + streams + `[$__rate_interval]))`}),
		stacked("Answers other than 2xx", "reqps", "What clients got in the end by status, of the provider asked last. none is no provider at all.",
			query{"{{provider}}: {{status_code}}", `sum by (provider, status_code) (rate(llm_proxy_requests_total{instance=~"$instance",provider=~"$provider",model=~"$model",status_code!~"2.."}[$__rate_interval])) > 0`}),
		graph("Connections", "short", "Connections to the provider in use and at rest. At rest there are MAX_IDLE_CONNECTIONS at most.",
			query{"{{provider}}: {{state}}", `sum by (provider, state) (llm_proxy_upstream_connections` + asked + `)`}),
		stacked("Cost per hour", "currencyUSD", "By the declared prices, at the pace of the moment.",
			query{"{{provider}}", `3600 * sum by (provider) (rate(llm_proxy_cost_usd_total` + streams + `[$__rate_interval]))`}))
	return b
}

func providerState(b *dashboard.DashboardBuilder) {
	row(b, "State", 7,
		timeline("Health", "Whether the provider is fit to be asked, as the requests to it and its health checks tell. At several instances: the worst of them.",
			query{"{{provider}}", `min by (provider) (llm_proxy_provider_health` + asked + `)`},
			state{"not fit", "red"}, state{"fit", "green"}),
		timeline("Circuit breakers", "Whether a model at a provider is asked. At several instances: the worst of them.",
			query{"{{model}} at {{provider}}", `max by (provider, model) (llm_proxy_provider_circuit_state` + streams + `)`},
			state{"closed", "green"}, state{"resting as asked", "yellow"}, state{"half open", "orange"}, state{"open", "red"}, state{"key refused", "purple"}))
}

func providerSpeed(b *dashboard.DashboardBuilder) {
	row(b, "Speed", 9,
		heat("Latency of the head", "s", "Attempts by the time from sending them to the head of their answer: darker is more of them.",
			`sum by (le) (rate(llm_proxy_provider_latency_seconds_bucket`+asked+`[$__rate_interval]))`),
		graph("P95 latency of the head", "s", "19 of 20 attempts have the head of their answer within this time. For an answer that does not stream it is nearly the whole time.",
			query{"{{provider}}", `histogram_quantile(0.95, sum by (le, provider) (rate(llm_proxy_provider_latency_seconds_bucket` + asked + `[$__rate_interval])))`}))
	line(b, 9,
		graph("P50 time to first token", "s", "Of streams: from the request's arrival to the first event that carries content.",
			query{"{{model}} at {{provider}}", `histogram_quantile(0.50, sum by (le, provider, model) ` + firsts + `)`}),
		graph("P95 time to first token", "s", "19 of 20 streams begin within this time.",
			query{"{{model}} at {{provider}}", `histogram_quantile(0.95, sum by (le, provider, model) ` + firsts + `)`}),
		graph("Tokens per second of a stream", "short", "The median: completion tokens by the time from a stream's first event to its last.",
			query{"{{model}} at {{provider}}", `histogram_quantile(0.50, sum by (le, provider, model) (rate(llm_proxy_tokens_per_second_bucket` + streams + `[$__rate_interval])))`}))
}

func providerFaults(b *dashboard.DashboardBuilder) {
	row(b, "Faults", 8,
		stacked("Retries by reason", "reqps", "Attempts that another one followed: clients noticed nothing but the time.",
			query{"{{provider}}: {{reason}}", `sum by (provider, reason) (rate(llm_proxy_retries_total` + asked + `[$__rate_interval])) > 0`}),
		limited("Share that is asked again", "percentunit", "Retries because of the provider by all requests. The line is where the alert begins.", 0.1,
			query{"{{provider}}", `sum by (provider) (rate(llm_proxy_retries_total` + asked + `[$__rate_interval])) / on () group_left () sum(rate(llm_proxy_requests_total{instance=~"$instance"}[$__rate_interval]))`}),
		graph("Ejections", "cpm", "How often a minute a model at a provider was left out after failures.",
			query{"{{model}} at {{provider}}", `60 * sum by (provider, model) (rate(llm_proxy_provider_ejections_total` + streams + `[$__rate_interval]))`}),
		graph("Streams cut short", "cpm", "Streams per minute that the provider ended before their end, and events that could not be understood.",
			query{"{{provider}}: cut", `60 * sum by (provider) (rate(llm_proxy_streams_truncated_total` + asked + `[$__rate_interval]))`},
			query{"{{provider}}: bad event", `60 * sum by (provider) (rate(llm_proxy_bad_events_total` + asked + `[$__rate_interval]))`}))
	line(b, 8,
		graph("Recovered streams", "cpm", "Attempts per minute to go on with a stream that broke off, by what became of them. Only the choice of the instance applies.",
			query{"{{result}}", `60 * sum by (result) (rate(llm_proxy_stream_recoveries_total{instance=~"$instance"}[$__rate_interval]))`}),
		graph("Attempts given up", "reqps", "Attempts that were ended because the client left, by the phase they were in. Only the choice of the instance applies.",
			query{"{{phase}}", `sum by (phase) (rate(llm_proxy_upstream_cancelled_total{instance=~"$instance"}[$__rate_interval])) > 0`}),
		graph("Retry budget spent", "reqps", "Retries that were not made because RETRY_BUDGET_PERCENT was spent: providers fail faster than it is worth asking again.",
			query{"not retried", `sum(rate(llm_proxy_retry_budget_spent_total{instance=~"$instance"}[$__rate_interval]))`}))
}
