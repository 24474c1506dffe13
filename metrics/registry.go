// Package metrics names everything that the gateway counts, and prints it for
// Prometheus.
//
// A Registry holds all families. Whatever a request needs is resolved to a
// pointer beforehand (a *Provider or *Model when a routing table is built, a
// *Requests by one lock-free look-up), so that counting is a few atomic
// additions: no lock, no map of strings, no formatting, no allocation, and
// nothing that waits for a scrape.
//
// Label values come only from the configuration and from closed lists; what a
// client invents is counted as Other. The number of series is bounded, see
// Options. Gateway-wide counters and the process's own metrics live in
// VictoriaMetrics/metrics; families with one series per model, provider or key
// are kept and printed here, because they come and go with the configuration.
package metrics

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Counter only goes up: Inc, Add, AddInt64, Get.
type Counter = metrics.Counter

// DefaultMaxSeries is about 5,000 combinations of endpoint, model, provider
// and key: a scrape of some 15 MB.
const DefaultMaxSeries = 100_000

// Options are the settings of a Registry.
type Options struct {
	Version string // of the gateway, for llm_proxy_build_info

	// MaxSeries bounds the time series that belong to models, providers and
	// keys, each line of a histogram counted. 0 means DefaultMaxSeries. Above
	// it a request is counted with api_key_name="other"; with a tenth more, all
	// of its labels are "other". llm_proxy_metrics_series_dropped_total counts
	// both.
	MaxSeries int
}

// Registry holds every metric of one gateway. Its fields and methods may be
// used by any goroutine; the fields are set by New and never change.
type Registry struct {
	Panics           *Counter // llm_proxy_panics_total
	SnapshotErrors   *Counter // llm_proxy_snapshot_errors_total
	WrongAdminKeys   *Counter // llm_proxy_wrong_admin_keys_total
	RetryBudgetSpent *Counter // llm_proxy_retry_budget_spent_total

	// ConfigVersion is the version that serves: llm_proxy_config_version.
	ConfigVersion *atomic.Int64

	set      *metrics.Set // gateway-wide counters and gauges
	overhead [phases]Durations

	cancelled     closedCounters
	configReloads closedCounters
	usageRecords  closedCounters
	tokenJobs     closedCounters
	recoveries    closedCounters
	overloaded    closedCounters
	limitHits     closedCounters
	seriesDropped *Counter

	maxSeries int64
	series    atomic.Int64 // lines of the families below
	requests  requestIndex

	labels labelTable

	mu        sync.Mutex // guards what follows and every change of requests; counting never takes it
	tokens    map[tokensKey]*tokenCounts
	providers map[Label]*Provider
	models    map[modelKey]*Model
	keyLimits map[Label]*KeyLimits
	active    map[Label]*atomic.Int64
}

// New makes the registry of one gateway.
func New(o Options) *Registry {
	r := &Registry{
		set:       metrics.NewSet(),
		maxSeries: int64(o.MaxSeries),
		tokens:    map[tokensKey]*tokenCounts{},
		providers: map[Label]*Provider{},
		models:    map[modelKey]*Model{},
		keyLimits: map[Label]*KeyLimits{},
		active:    map[Label]*atomic.Int64{},
	}
	if r.maxSeries == 0 {
		r.maxSeries = DefaultMaxSeries
	}
	r.labels.init()
	r.requests.init()
	for p := range r.overhead {
		r.overhead[p].init(overheadBuckets)
	}
	r.Panics = r.set.NewCounter("llm_proxy_panics_total")
	r.RetryBudgetSpent = r.set.NewCounter("llm_proxy_retry_budget_spent_total")
	r.SnapshotErrors = r.set.NewCounter("llm_proxy_snapshot_errors_total")
	r.WrongAdminKeys = r.set.NewCounter("llm_proxy_wrong_admin_keys_total")
	r.seriesDropped = r.set.NewCounter("llm_proxy_metrics_series_dropped_total")
	r.ConfigVersion = new(atomic.Int64)
	r.GaugeFunc("llm_proxy_config_version", r.ConfigVersion.Load)
	r.GaugeFunc("llm_proxy_metrics_series", r.series.Load)
	r.cancelled.init(r.set, "llm_proxy_upstream_cancelled_total", "phase", cancelPhases)
	r.configReloads.init(r.set, "llm_proxy_config_reloads_total", "result", reloadResults)
	r.usageRecords.init(r.set, "llm_proxy_usage_records_total", "source", usageSources)
	r.tokenJobs.init(r.set, "llm_proxy_token_jobs_total", "result", tokenResults)
	r.recoveries.init(r.set, "llm_proxy_stream_recoveries_total", "result", recoveries)
	r.overloaded.init(r.set, "llm_proxy_overload_rejected_total", "reason", rejections)
	r.limitHits.init(r.set, "llm_proxy_limit_hits_total", "limit", limits)
	r.buildInfo(o.Version)
	metrics.ExposeMetadata(true) // process-wide; nothing else here prints metrics
	return r
}

func (r *Registry) buildInfo(version string) {
	labels := r.labels.render("version", r.Label(version), "goversion", r.Label(runtime.Version()))
	r.set.NewGauge("llm_proxy_build_info{"+labels+"}", func() float64 { return 1 })
}

// GaugeFunc shows what read returns at every scrape under a name of the help
// table. It is for the wiring: a name that is taken already panics.
func (r *Registry) GaugeFunc(name string, read func() int64) {
	if families[name].help == "" {
		panic("BUG: metric without help: " + strconv.Quote(name))
	}
	r.set.NewGauge(name, func() float64 { return float64(read()) })
}

// CounterFunc is GaugeFunc for a number that only goes up, one of several that
// a label tells apart; label and value are constants of the wiring. An empty
// label is none.
func (r *Registry) CounterFunc(name, label, value string, read func() int64) {
	if families[name].help == "" || families[name].kind != counter {
		panic("BUG: counter without help: " + strconv.Quote(name))
	}
	if label != "" {
		name += "{" + label + "=" + strconv.Quote(value) + "}"
	}
	r.set.NewGauge(name, func() float64 { return float64(read()) })
}

// SecondsFunc is GaugeFunc for a duration.
func (r *Registry) SecondsFunc(name string, read func() time.Duration) {
	if families[name].help == "" {
		panic("BUG: metric without help: " + strconv.Quote(name))
	}
	r.set.NewGauge(name, func() float64 { return read().Seconds() })
}

// Active is the number of requests that are being served on an endpoint:
// llm_proxy_active_requests.
func (r *Registry) Active(endpoint Label) *atomic.Int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.active[endpoint]
	if n == nil {
		n = new(atomic.Int64)
		r.active[endpoint] = n
	}
	return n
}

// Phase is a step of the gateway's own work on a request.
type Phase uint8

// The phases of llm_proxy_overhead_seconds.
const (
	Admit Phase = iota // from the request's head in hand to the first attempt
	Queue              // in the queue of an overloaded gateway, for those who had to wait
	Relay              // from the whole answer in hand to the response ready to be written
	phases
)

var phaseNames = [phases]string{"admit", "queue", "relay"}

// String returns the phase as the metrics show it.
func (p Phase) String() string { return phaseNames[p] }

// Overhead is the gateway's own time in one phase: llm_proxy_overhead_seconds.
func (r *Registry) Overhead(p Phase) *Durations { return &r.overhead[p] }

// Cancelled counts an attempt at a provider that was given up because the
// client left, by the phase it was in: connect, write, first_byte, first_event,
// event, body, backoff, queue.
func (r *Registry) Cancelled(phase string) { r.cancelled.inc(phase) }

// Overloaded counts a request that was refused for want of room: full, busy,
// memory, draining.
func (r *Registry) Overloaded(reason string) { r.overloaded.inc(reason) }

// LimitHits counts what met one of the bounds that are settings, by the name of
// the setting in lower case: llm_proxy_limit_hits_total. What happens there is
// written at the setting.
func (r *Registry) LimitHits(setting string) *Counter { return r.limitHits.of(setting) }

// ConfigReloads counts a reload: success, invalid or error.
func (r *Registry) ConfigReloads(result string) { r.configReloads.inc(result) }

// UsageRecords counts a usage record: upstream, counted, estimated, partial or none.
func (r *Registry) UsageRecords(source string) { r.usageRecords.inc(source) }

// StreamRecovered counts an attempt to go on with a stream that broke off:
// spliced, diverged (the replay said something else) or failed (there was none).
func (r *Registry) StreamRecovered(result string) { r.recoveries.inc(result) }

// TokenJobs counts a piece of work for the token pool: counted, queue_full,
// too_large or failed.
func (r *Registry) TokenJobs(result string) { r.tokenJobs.inc(result) }

// reserve books n series. It reports false, and books nothing, when they would
// not fit into MaxSeries and spare more.
func (r *Registry) reserve(n, spare int64) bool {
	if r.series.Add(n) <= r.maxSeries+spare {
		return true
	}
	r.series.Add(-n)
	return false
}
