package config

// limits declares the bounds of what clients and providers may send, and of what
// is kept of it. What meets a MAX_ of bytes, lines, models, connections or scrapes, or
// SCRAPE_TIMEOUT_SECS, is counted by llm_proxy_limit_hits_total, under the name in
// lower case.
func (o *Options) limits() []setting {
	return []setting{
		{"MAX_BODY_BYTES", "32MiB", "Largest request body; larger ones get 413.", size(&o.MaxBodyBytes, 1<<10, 4<<30)},
		{"MAX_HEADER_BYTES", "16KiB", "Largest request head; larger ones get 431.", size(&o.MaxHeaderBytes, 4<<10, 1<<20)},
		{"MAX_ANSWER_BYTES", "4MiB", "Answers up to this size are kept whole before the first byte goes out; larger ones stream through.", size(&o.MaxAnswerBytes, 0, 1<<30)},
		{"MAX_EVENT_BYTES", "8MiB", "Largest single event of a stream.", size(&o.MaxEventBytes, 64<<10, 1<<30)},
		{"MAX_HEADER_LINES", "128", "Most lines of a request head; more get 431.", number(&o.MaxHeaderLines, 16, 10_000)},
		{"MAX_ERROR_BYTES", "256KiB", "Largest error answer of a provider that is passed on; a larger one is cut there.", size(&o.MaxErrorBytes, 1<<10, 64<<20)},
		{"MAX_COUNTED_TEXT_BYTES", "1MiB", "Text of a stream that is kept to count its tokens, and to splice it; the rest is estimated, and a longer stream not spliced.", size(&o.MaxCountedTextBytes, 1<<10, 1<<30)},
		{"MAX_MODEL_LIST_BYTES", "4MiB", "Largest answer to GET models of a provider whose models are not declared; those of a larger one are not listed.", size(&o.MaxModelListBytes, 1<<10, 1<<30)},
		{"MAX_IDLE_CONNECTIONS", "1024", "Idle connections that are kept to each provider; more are closed.", number(&o.MaxIdleConnections, 1, 1_000_000)},
		{"MAX_HEALTH_MODELS", "10", "Models of each provider that a health report tests if it is not told which, in their order: each test costs a few tokens.", number(&o.MaxHealthModels, 1, 10_000)},
		{"MAX_SCRAPES", "8", "Pages of metrics that may be on their way at once; more scrapes get 503 with retry-after.", number(&o.MaxScrapes, 1, 1000)},
		{"SCRAPE_TIMEOUT_SECS", "30", "Who scrapes has this long to take the page, and is cut off then.", seconds(&o.ScrapeTimeout, 1)},
		{"MAX_ATTEMPTS", "3", "Attempts at providers for one request, before its first byte is out.", number(&o.MaxAttempts, 1, 8)},
		{"RETRY_BUDGET_PERCENT", "20", "Retries in percent of the requests; ten a second are always allowed.", number(&o.RetryBudgetPercent, 0, 100)},
		{"MAX_CONCURRENT_REQUESTS", "0", "Requests at once; more wait in a queue, then get 503 with retry-after. 0: no limit.", number(&o.MaxConcurrentRequests, 0, 10_000_000)},
		{"MAX_QUEUED_REQUESTS", "256", "Requests that may wait for others to end, or for a moment of less load; more get 503 at once.", number(&o.MaxQueuedRequests, 0, 100_000)},
		{"QUEUE_TIMEOUT_MS", "200", "They wait for this long at most. 0: nobody waits.", millis(&o.QueueTimeout)},
		{"OVERLOAD_DELAY_MS", "100", "While what arrives waits longer than this until the gateway gets to it, fewer requests per second come in. 0: never.", millis(&o.OverloadDelay)},
		{"TOKEN_WORKERS", "", "Goroutines that count tokens (default: one for every two CPUs).", number(&o.TokenWorkers, 1, 1024)},
		{"TOKEN_QUEUE", "1024", "Counts that may wait; more are estimated.", number(&o.TokenQueue, 1, 1_000_000)},
	}
}
