package server

import (
	"cmp"
	"time"

	"llmproxy/metrics"
)

// preset puts in the limits that were not given.
func (o *Options) preset() {
	o.MaxHeaderLines = cmp.Or(o.MaxHeaderLines, 128) // the best-known proxies take about 100
	o.MaxErrorBytes = cmp.Or(o.MaxErrorBytes, 256<<10)
	o.MaxTextBytes = cmp.Or(o.MaxTextBytes, 1<<20)
	o.MaxListBytes = cmp.Or(o.MaxListBytes, 4<<20)
	o.MaxLogLines = cmp.Or(o.MaxLogLines, 20)
	o.MaxScrapes = cmp.Or(o.MaxScrapes, 8)
	o.ScrapeTime = cmp.Or(o.ScrapeTime, 30*time.Second)
}

// limits counts what met a limit: llm_proxy_limit_hits_total. The names are those
// of the settings.
type limits struct {
	bodyBytes   *metrics.Counter // 413
	headerBytes *metrics.Counter // 431
	headerLines *metrics.Counter // 431
	answerBytes *metrics.Counter // relayed before it was whole, or no longer held
	eventBytes  *metrics.Counter // the stream ended with an error
	errorBytes  *metrics.Counter // a provider's error answer was cut
	textBytes   *metrics.Counter // a stream's tokens are estimated, unless the provider counts them
	listBytes   *metrics.Counter // a provider's models are not listed
	scrapes     *metrics.Counter // 503
	scrapeTime  *metrics.Counter // the page broke off
}

func (l *limits) init(m *metrics.Registry) {
	l.bodyBytes = m.LimitHits("max_body_bytes")
	l.headerBytes = m.LimitHits("max_header_bytes")
	l.headerLines = m.LimitHits("max_header_lines")
	l.answerBytes = m.LimitHits("max_answer_bytes")
	l.eventBytes = m.LimitHits("max_event_bytes")
	l.errorBytes = m.LimitHits("max_error_bytes")
	l.textBytes = m.LimitHits("max_counted_text_bytes")
	l.listBytes = m.LimitHits("max_model_list_bytes")
	l.scrapes = m.LimitHits("max_scrapes")
	l.scrapeTime = m.LimitHits("scrape_timeout_secs")
}
