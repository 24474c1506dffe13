package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// here selects the instances that the variable chooses.
const here = `{instance=~"$instance"}`

// gateway is for whoever runs the gateway: its own time, its process, its
// queues, its configuration, its ledger.
func gateway() *dashboard.DashboardBuilder {
	b := board("llm-proxy-gateway", "LLM Proxy / Gateway",
		"The gateway itself: its own time, its process, its queues, its configuration and its ledger of usage.")
	gatewayNow(b)
	gatewayTime(b)
	gatewayProcess(b)
	gatewayRoom(b)
	gatewayConfiguration(b)
	gatewayUsage(b)
	return b
}

func gatewayNow(b *dashboard.DashboardBuilder) {
	row(b, "Instances", 4,
		number("Instances", "short", "Instances that Prometheus has metrics of.", plain(),
			query{"", `count(llm_proxy_build_info` + here + `)`}),
		number("Versions that serve", "short", "How many versions of the configuration serve at present. More than one for longer than a few seconds: an instance could not take the newest.", steps(2, "orange"),
			query{"", `count(count_values("version", llm_proxy_config_version` + here + `))`}),
		number("Up since", "dateTimeFromNow", "When the instance that was started last was started.", plain(),
			query{"", `1000 * max(process_start_time_seconds` + here + `)`}),
		number("Panics", "short", "Panics caught in the last day. Each is a bug: please report it.", steps(1, "red"),
			query{"", `sum(increase(llm_proxy_panics_total` + here + `[1d]))`}),
		number("Records lost", "short", "Usage records of the last day that the database will never have.", steps(1, "red"),
			query{"", `sum(increase(llm_proxy_usage_dropped_total` + here + `[1d]))`}),
		number("Refused for want of room", "short", "Requests of the last day that got 503.", steps(1, "orange"),
			query{"", `sum(increase(llm_proxy_overload_rejected_total` + here + `[1d]))`}))
}

func gatewayTime(b *dashboard.DashboardBuilder) {
	const spent = `(rate(llm_proxy_overhead_seconds_bucket` + here + `[$__rate_interval]))`
	row(b, "Its own time", 8,
		graph("P50 overhead by phase", "s", "admit: until the request is sent on. queue: of those that had to wait for room. relay: from the answer to its delivery.",
			query{"{{phase}}", `histogram_quantile(0.50, sum by (le, phase) ` + spent + `)`}),
		graph("P99 overhead by phase", "s", "The same of the slowest in a hundred.",
			query{"{{phase}}", `histogram_quantile(0.99, sum by (le, phase) ` + spent + `)`}),
		graph("Scheduling delay", "s", "How long the gateway takes to notice that something has arrived. Above OVERLOAD_DELAY_MS fewer requests per second come in.",
			query{"{{instance}}", `llm_proxy_scheduling_delay_seconds` + here}))
}

func gatewayProcess(b *dashboard.DashboardBuilder) {
	row(b, "Process", 8,
		graph("CPU", "short", "CPUs that the process keeps busy, and how many it may use.",
			query{"{{instance}}", `rate(process_cpu_seconds_total` + here + `[$__rate_interval])`},
			query{"{{instance}}: may use", `go_gomaxprocs` + here}),
		graph("Memory", "bytes", "Resident memory, and the part of it that is Go's heap in use.",
			query{"{{instance}}: resident", `process_resident_memory_bytes` + here},
			query{"{{instance}}: heap", `go_memstats_heap_inuse_bytes` + here}),
		graph("Goroutines and threads", "short", "One goroutine for each client connection, and a few more.",
			query{"{{instance}}: goroutines", `go_goroutines` + here},
			query{"{{instance}}: threads", `process_num_threads` + here}))
	line(b, 8,
		graph("Garbage collection: CPU", "percentunit", "The part of the process's CPU time that goes into garbage collection.",
			query{"{{instance}}", `rate(go_gc_cpu_seconds_total` + here + `[$__rate_interval]) / rate(process_cpu_seconds_total` + here + `[$__rate_interval])`}),
		graph("Garbage collection: pauses", "s", "P99 of the times that the collector stopped the program.",
			query{"{{instance}}", `histogram_quantile(0.99, sum by (le, instance) (rate(go_gc_pauses_seconds_bucket` + here + `[$__rate_interval])))`}),
		limited("File descriptors", "percentunit", "Descriptors that are open, by how many may be.", 0.9,
			query{"{{instance}}", `process_open_fds` + here + ` / process_max_fds` + here}))
}

func gatewayRoom(b *dashboard.DashboardBuilder) {
	row(b, "Queues and pools", 8,
		graph("Waiting", "short", "Requests that wait for room, and texts that wait for a token counter.",
			query{"{{instance}}: requests", `llm_proxy_queued_requests` + here},
			query{"{{instance}}: texts", `llm_proxy_token_queue_length` + here}),
		stacked("Refused for want of room", "reqps", "full: MAX_CONCURRENT_REQUESTS. busy: OVERLOAD_DELAY_MS. providers_full: max_concurrency of every provider of the model.",
			query{"{{reason}}", `sum by (reason) (rate(llm_proxy_overload_rejected_total` + here + `[$__rate_interval]))`}),
		graph("Admission limit", "reqps", "Requests per second that may come in while the gateway is overloaded; 0 is no limit.",
			query{"{{instance}}", `llm_proxy_admission_limit` + here}))
	line(b, 8,
		graph("Connections", "short", "Open connections of clients, and to providers in use and at rest.",
			query{"{{instance}}: clients", `llm_proxy_client_connections` + here},
			query{"{{instance}}: providers, {{state}}", `sum by (instance, state) (llm_proxy_upstream_connections` + here + `)`}),
		graph("Token counters", "ops", "Texts handed to the token counters, by what became of them.",
			query{"{{result}}", `sum by (result) (rate(llm_proxy_token_jobs_total` + here + `[$__rate_interval]))`}),
		graph("Bounds that were met", "ops", "What met a bound, by the setting of the bound; and connections that could not be accepted or were cut for taking nothing.",
			query{"{{limit}}", `sum by (limit) (rate(llm_proxy_limit_hits_total` + here + `[$__rate_interval])) > 0`},
			query{"accept errors", `sum(rate(llm_proxy_accept_errors_total` + here + `[$__rate_interval]))`},
			query{"clients that stalled", `sum(rate(llm_proxy_clients_stalled_total` + here + `[$__rate_interval]))`}))
}

func gatewayConfiguration(b *dashboard.DashboardBuilder) {
	row(b, "Configuration and metrics", 8,
		graph("Configuration version", "none", "The version that serves at each instance: within seconds they are the same.",
			query{"{{instance}}", `llm_proxy_config_version` + here}),
		graph("Reloads", "cpm", "Configurations that were taken (success), did not validate (invalid) or could not be read (error), per minute.",
			query{"{{result}}", `60 * sum by (result) (rate(llm_proxy_config_reloads_total` + here + `[$__rate_interval]))`},
			query{"not kept on disk", `60 * sum(rate(llm_proxy_snapshot_errors_total` + here + `[$__rate_interval]))`}),
		graph("Wrong admin keys", "ops", "Wrong keys shown where the admin key opens: many of them are somebody who guesses.",
			query{"{{instance}}", `rate(llm_proxy_wrong_admin_keys_total` + here + `[$__rate_interval])`}),
		graph("Time series", "short", "Series of models, providers and keys: MAX_METRIC_SERIES bounds them. And how often a second something was counted as other for want of room.",
			query{"{{instance}}", `llm_proxy_metrics_series` + here},
			query{"{{instance}}: counted as other", `rate(llm_proxy_metrics_series_dropped_total` + here + `[$__rate_interval])`}))
}

func gatewayUsage(b *dashboard.DashboardBuilder) {
	row(b, "Usage ledger and traces", 8,
		graph("Records stored", "ops", "Usage records that the database took.",
			query{"{{instance}}", `rate(llm_proxy_usage_stored_total` + here + `[$__rate_interval])`}),
		stacked("Spans of traces", "ops", "Spans by what became of them. failed: the collector did not take them. dropped: no room to wait for it.",
			query{"{{result}}", `sum by (result) (rate(llm_proxy_trace_spans_total` + here + `[$__rate_interval]))`}),
		graph("In memory only", "short", "Usage records that a crash would lose: those of the last moments.",
			query{"{{instance}}", `llm_proxy_usage_queue_length` + here}))
	line(b, 8,
		limited("Journal lag", "s", "Age of the oldest record on the disk that the database has not taken. The line is where the alert begins.", 300,
			query{"{{instance}}", `llm_proxy_usage_journal_lag_seconds` + here}),
		graph("Journal bytes", "bytes", "Usage journals on the disk: USAGE_JOURNAL_MAX_BYTES at most, then the newest records are dropped.",
			query{"{{instance}}", `llm_proxy_usage_journal_bytes` + here}),
		graph("Records lost", "ops", "Usage records that the database will never have, by reason.",
			query{"{{reason}}", `sum by (reason) (rate(llm_proxy_usage_dropped_total` + here + `[$__rate_interval]))`}),
		graph("Damaged blocks", "short", "Blocks of a thousand records in usage.db that were found damaged since the start: lists of records are without them.",
			query{"{{instance}}", `llm_proxy_usage_blocks_damaged_total` + here}))
}
