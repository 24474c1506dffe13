package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// requests selects the finished requests that the variables choose.
const requests = `{instance=~"$instance",provider=~"$provider",model=~"$model",api_key_name=~"$key"}`

// failed selects those of them that ended in a server error.
const failed = `{instance=~"$instance",provider=~"$provider",model=~"$model",api_key_name=~"$key",status_code=~"5.."}`

// used selects the tokens that count once: cached ones are part of the
// prompt's, reasoning ones of the completion's.
const used = `{instance=~"$instance",provider=~"$provider",model=~"$model",api_key_name=~"$key",token_type=~"prompt|completion"}`

// streams selects what is known of the streams that the variables choose.
const streams = `{instance=~"$instance",provider=~"$provider",model=~"$model"}`

const (
	rate      = `sum(rate(llm_proxy_requests_total` + requests + `[$__rate_interval]))`
	durations = `(rate(llm_proxy_request_duration_seconds_bucket` + requests + `[$__rate_interval]))`
	firsts    = `(rate(llm_proxy_ttft_seconds_bucket` + streams + `[$__rate_interval]))`
	costs     = `(rate(llm_proxy_cost_usd_total` + requests + `[$__rate_interval]))`
)

// overview is for everyone: what clients get, what it costs, who uses it.
func overview() *dashboard.DashboardBuilder {
	b := board("llm-proxy", "LLM Proxy / Overview",
		"What clients get of the gateway, what it costs, and who uses it.", provider, model, key)
	overviewNow(b)
	row(b, "Traffic", 9,
		stacked("Request rate by status", "reqps", "Finished requests by HTTP status. 499 is a client that left before its answer was whole.",
			query{"{{status_code}}", `sum by (status_code) (rate(llm_proxy_requests_total` + requests + `[$__rate_interval]))`}),
		graph("Latency", "s", "From a request's arrival to the last byte of its answer; streams to their end.",
			query{"P50", `histogram_quantile(0.50, sum by (le) ` + durations + `)`},
			query{"P95", `histogram_quantile(0.95, sum by (le) ` + durations + `)`},
			query{"P99", `histogram_quantile(0.99, sum by (le) ` + durations + `)`}))
	line(b, 9,
		shares("Load by provider", "The part of the requests that each provider answered. none are requests that reached no provider.",
			query{"{{provider}}", `sum by (provider) (rate(llm_proxy_requests_total` + requests + `[$__rate_interval])) / ignoring (provider) group_left () ` + rate}),
		stacked("Request rate by model", "reqps", "Finished requests by the model that was asked for. other is a model that nobody declared.",
			query{"{{model}}", `sum by (model) (rate(llm_proxy_requests_total` + requests + `[$__rate_interval]))`}),
		stacked("Active requests", "short", "Requests that are being served, by endpoint. Only the choice of the instance applies.",
			query{"{{endpoint}}", `sum by (endpoint) (llm_proxy_active_requests{instance=~"$instance"})`}))
	row(b, "Latency and errors", 9,
		graph("P95 latency by model", "s", "19 of 20 requests for the model are answered within this time.",
			query{"{{model}}", `histogram_quantile(0.95, sum by (le, model) ` + durations + `)`}),
		graph("Time to first token", "s", "Of streams: from the request's arrival to the first event that carries content.",
			query{"P50", `histogram_quantile(0.50, sum by (le) ` + firsts + `)`},
			query{"P95", `histogram_quantile(0.95, sum by (le) ` + firsts + `)`},
			query{"P99", `histogram_quantile(0.99, sum by (le) ` + firsts + `)`}),
		limited("Error share by model", "percentunit", "The part of the requests for the model that ended in a 5xx. The line is where the alert begins.", 0.05,
			query{"{{model}}", `sum by (model) (rate(llm_proxy_requests_total` + failed + `[$__rate_interval])) / sum by (model) (rate(llm_proxy_requests_total` + requests + `[$__rate_interval]))`}))
	overviewUse(b)
	return b
}

func overviewNow(b *dashboard.DashboardBuilder) {
	row(b, "Now", 4,
		number("Requests per second", "reqps", "Requests that ended, whatever became of them.", plain(), query{"", rate}),
		number("Error share", "percentunit", "The part of the requests that ended in a 5xx: no provider could answer, or the gateway had no room.", steps(0.01, "orange", 0.05, "red"),
			query{"", `(sum(rate(llm_proxy_requests_total` + failed + `[$__rate_interval])) or vector(0)) / ` + rate}),
		number("P95 latency", "s", "19 of 20 requests are answered within this time; streams to their end.", steps(30, "orange", 120, "red"),
			query{"", `histogram_quantile(0.95, sum by (le) ` + durations + `)`}),
		number("Active requests", "short", "Requests that are being served. Only the choice of the instance applies.", plain(),
			query{"", `sum(llm_proxy_active_requests{instance=~"$instance"})`}),
		number("Tokens per second", "short", "Tokens of prompts and answers, as providers told them or as they were counted.", plain(),
			query{"", `sum(rate(llm_proxy_tokens_total` + used + `[$__rate_interval]))`}),
		number("Cost per hour", "currencyUSD", "What the requests cost by the declared prices, at the present pace. What has no price is not in it.", plain(),
			query{"", `3600 * sum` + costs}),
		number("Providers that are fit", "percentunit", "The part of the providers that is fit to be asked. Only the choices of the instance and the provider apply.", dashboard.NewThresholdsConfigBuilder().
			Mode(dashboard.ThresholdsModeAbsolute).Steps([]dashboard.Threshold{{Color: "red"}, {Value: ptr(0.5), Color: "orange"}, {Value: ptr(1), Color: "green"}}),
			query{"", `avg(llm_proxy_provider_health{instance=~"$instance",provider=~"$provider"})`}),
		number("Alerts", "short", "The gateway's alerts that fire in this Prometheus.", steps(1, "red"),
			query{"", `count(ALERTS{alertname=~"LLMProxy.+",alertstate="firing"}) or vector(0)`}))
}

func overviewUse(b *dashboard.DashboardBuilder) {
	row(b, "Tokens and money", 9,
		stacked("Tokens per second", "short", "Tokens of prompts and answers by model.",
			query{"{{model}}", `sum by (model) (rate(llm_proxy_tokens_total` + used + `[$__rate_interval]))`}),
		graph("Tokens by type", "short", "Per second. Cached tokens are part of the prompts', reasoning tokens part of the completions'.",
			query{"{{token_type}}", `sum by (token_type) (rate(llm_proxy_tokens_total` + requests + `[$__rate_interval]))`}),
		stacked("Cost per hour", "currencyUSD", "By model, by the declared prices, at the pace of the moment.",
			query{"{{model}}", `3600 * sum by (model) ` + costs}))
	row(b, "Keys", 9,
		bars("Top keys by requests", "reqps", "The ten keys with the most requests per second. anonymous are requests without a key.", plain(),
			query{"{{api_key_name}}", `sort_desc(topk(10, sum by (api_key_name) (rate(llm_proxy_requests_total` + requests + `[$__rate_interval]))))`}),
		bars("Top keys by cost per hour", "currencyUSD", "The ten keys that cost the most at the present pace.", plain(),
			query{"{{api_key_name}}", `sort_desc(topk(10, 3600 * sum by (api_key_name) ` + costs + `))`}),
		bars("Budgets used", "percentunit", "What keys with a budget have spent of it in its period, with what is set aside for requests under way.", steps(0.8, "orange", 1, "red"),
			query{"{{api_key_name}}", `sort_desc(topk(10, max by (api_key_name) (llm_proxy_budget_spent_usd{instance=~"$instance",api_key_name=~"$key"} / (llm_proxy_budget_limit_usd{instance=~"$instance",api_key_name=~"$key"} < Inf))))`}),
		stacked("Refused by limits of keys", "reqps", "Requests that got 429 because of their key's rate, tokens per minute, budget or concurrency.",
			query{"{{api_key_name}}: rate", `sum by (api_key_name) (rate(llm_proxy_rate_limited_total{instance=~"$instance",api_key_name=~"$key"}[$__rate_interval])) > 0`},
			query{"{{api_key_name}}: {{limit}}", `sum by (api_key_name, limit) (rate(llm_proxy_quota_refused_total{instance=~"$instance",api_key_name=~"$key"}[$__rate_interval])) > 0`}))
	row(b, "What was refused or not counted", 8,
		stacked("Refused for want of room", "reqps", "Requests that got 503, by reason. Only the choice of the instance applies.",
			query{"{{reason}}", `sum by (reason) (rate(llm_proxy_overload_rejected_total{instance=~"$instance"}[$__rate_interval])) > 0`}),
		graph("Requests without a price", "reqps", "Requests that used tokens for which no price is declared: their cost is missing above.",
			query{"{{model}} at {{provider}}", `sum by (model, provider) (rate(llm_proxy_unpriced_requests_total` + requests + `[$__rate_interval])) > 0`}),
		shares("Where token counts come from", "upstream: the provider told them. counted and estimated: it did not. partial: a stream that broke off. Only the choice of the instance applies.",
			query{"{{source}}", `sum by (source) (rate(llm_proxy_usage_records_total{instance=~"$instance"}[$__rate_interval])) / ignoring (source) group_left () sum(rate(llm_proxy_usage_records_total{instance=~"$instance"}[$__rate_interval]))`}))
}

func ptr(v float64) *float64 { return &v }
