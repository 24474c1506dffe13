package metrics

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"
)

// The closed lists of label values. Whatever is not in its list is counted as
// "other", the last of each.
var (
	cancelPhases  = []string{"connect", "write", "first_byte", "first_event", "event", "body", "backoff", "queue", "other"}
	reloadResults = []string{"success", "invalid", "error", "other"}
	usageSources  = []string{"upstream", "counted", "estimated", "partial", "none", "other"}
	tokenResults  = []string{"counted", "queue_full", "too_large", "failed", "other"}
	recoveries    = []string{"spliced", "diverged", "failed", "other"}
	rejections    = []string{"full", "busy", "memory", "draining", "providers_full", "other"}
	limits        = []string{
		"max_body_bytes", "max_header_bytes", "max_header_lines", "max_answer_bytes", "max_event_bytes", "max_error_bytes",
		"max_counted_text_bytes", "max_model_list_bytes", "max_idle_connections", "max_health_models",
		"max_scrapes", "scrape_timeout_secs", "max_log_lines", "log_queue", "other",
	}
	retryReasons = []string{
		"connect", "reset", "timeout", "server_error", "unavailable", "invalid_answer",
		"rate_limited", "auth", "context_length", "unsupported_field", "busy", "other",
	}
)

// closedCounters is one counter for each value of a closed list.
type closedCounters struct {
	values   []string
	counters []*Counter
}

func (c *closedCounters) init(set *metrics.Set, family, label string, values []string) {
	c.values = values
	for _, v := range values {
		c.counters = append(c.counters, set.NewCounter(fmt.Sprintf("%s{%s=%q}", family, label, v)))
	}
}

// of returns the value's counter.
func (c *closedCounters) of(value string) *Counter { return c.counters[indexOf(c.values, value)] }

// inc looks through the list: a handful of short strings, cheaper than a map.
func (c *closedCounters) inc(value string) { c.of(value).Inc() }

func indexOf(values []string, value string) int {
	for i, v := range values {
		if v == value {
			return i
		}
	}
	return len(values) - 1
}
