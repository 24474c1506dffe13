package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"llmproxy/metrics"
	"llmproxy/route"
	"llmproxy/usage"
)

// journal writes what the operator needs to know of requests. It never names
// a key, a prompt or an answer. A request that gets no line costs it a few
// comparisons.
type journal struct {
	log      *slog.Logger
	lines    int64            // of one kind in a second, so that an outage does not drown the log, or the gateway in it
	leftOut  *metrics.Counter // lines that were not written
	share    float64          // of the requests that get a line at info
	slow     time.Duration    // 0: nothing is
	attempts limit
	broken   limit
	tardy    limit
}

func newJournal(log *slog.Logger, o Options, m *metrics.Registry) *journal {
	return &journal{log: log, lines: o.MaxLogLines, leftOut: m.LimitHits("max_log_lines"), share: o.LogShare, slow: o.SlowRequest}
}

// allow reports whether a line of a kind may be written now, and how many of that
// kind were not since the last.
func (j *journal) allow(kind *limit) (ok bool, missed int64) {
	if ok, missed = kind.allow(now(), j.lines); !ok {
		j.leftOut.Inc()
	}
	return ok, missed
}

// attemptFailed says that a provider failed a request.
func (j *journal) attemptFailed(x *exchange, t *route.Target, err error) {
	ok, missed := j.allow(&j.attempts)
	if !ok {
		return
	}
	j.log.Warn("provider failed", "provider", t.Provider.Name, "reason", reasonOf(err), "error", err,
		"attempt", x.attempts, "endpoint", x.endpoint.path, "request_id", string(x.id), "not_logged", missed)
}

// request writes the line of a request that has ended, if it is to have one: as
// a warning when the client lost something or waited for too long, at info when
// it is drawn, else at debug. It comes before account, which takes things away.
func (j *journal) request(x *exchange, end ending, took time.Duration) {
	switch {
	case end.lost():
		j.warn(&j.broken, "request failed", x, end, took)
	case j.slow > 0 && took >= j.slow:
		j.warn(&j.tardy, "request slow", x, end, took)
	case j.share > 0 && rand.Float64() < j.share && j.enabled(slog.LevelInfo):
		j.write(slog.LevelInfo, "request", x, end, took)
	case j.enabled(slog.LevelDebug):
		j.write(slog.LevelDebug, "request", x, end, took)
	}
}

func (j *journal) enabled(l slog.Level) bool { return j.log.Enabled(context.Background(), l) }

// warn writes a line of a kind of which there are but so many in a second.
func (j *journal) warn(kind *limit, message string, x *exchange, end ending, took time.Duration) {
	if !j.enabled(slog.LevelWarn) {
		return
	}
	if ok, missed := j.allow(kind); ok {
		j.write(slog.LevelWarn, message, x, end, took, slog.Int64("not_logged", missed))
	}
}

func (j *journal) write(l slog.Level, message string, x *exchange, end ending, took time.Duration, more ...slog.Attr) {
	var room [mostAttrs]slog.Attr
	attrs := x.appendAttrs(room[:0], end, took)
	j.log.LogAttrs(context.Background(), l, message, append(attrs, more...)...)
}

// mostAttrs is how many a line has at most.
const mostAttrs = 25

// appendAttrs describes the request. What does not apply is left out, and so is
// a model that nobody serves: it may be anything that the client wrote there.
func (x *exchange) appendAttrs(to []slog.Attr, end ending, took time.Duration) []slog.Attr {
	provider, key := "", ""
	if x.caller != nil {
		key = x.caller.Name
	}
	if x.target != nil {
		provider = x.target.Provider.Name
	}
	to = append(to, slog.String("request_id", string(x.id)), slog.String("endpoint", x.endpoint.path),
		slog.Int("status", x.status), slog.String("outcome", end.outcome.String()), slog.String("api_key_name", key),
		slog.String("provider", provider), slog.Int("attempts", x.attempts), slog.Bool("stream", x.parsed.Stream))
	if x.route != nil && len(x.public) > 0 {
		to = append(to, slog.String("model", string(x.public)))
	}
	if len(x.upID) > 0 {
		to = append(to, slog.String("upstream_request_id", string(x.upID[:min(len(x.upID), mostID)])))
	}
	if end.outcome == usage.Cancelled {
		to = append(to, slog.String("phase", end.phase))
	}
	if end.err != nil {
		to = append(to, slog.String("code", failureCode(end.err)))
	}
	if end.lost() {
		to = append(to, slog.Any("error", end.err)) // of a refusal it may quote the client
	}
	return x.appendTokens(x.appendTimes(to, took))
}

// mostID is how much of a provider's own id is shown: it is as long as it likes.
const mostID = 128

// appendTimes adds how long the request took, and where that went.
func (x *exchange) appendTimes(to []slog.Attr, took time.Duration) []slog.Attr {
	to = append(to, millis("duration_ms", took), millis("overhead_ms", x.overhead))
	if x.queued > 0 {
		to = append(to, millis("queue_ms", x.queued))
	}
	if x.attempts > 0 {
		to = append(to, millis("admit_ms", x.admitIn))
	}
	if x.headIn > 0 {
		to = append(to, millis("first_byte_ms", x.headIn))
	}
	if x.firstAt > 0 {
		to = append(to, millis("ttft_ms", time.Duration(x.firstAt-x.startAt)))
	}
	return to
}

// appendTokens adds what the provider said that it used. What is counted here
// is known only later: the usage ledger has it.
func (x *exchange) appendTokens(to []slog.Attr) []slog.Attr {
	if !x.hasUsage {
		return to
	}
	u := &x.usage
	return append(to, slog.Int64("prompt_tokens", u.Prompt), slog.Int64("completion_tokens", u.Completion),
		slog.Int64("cached_tokens", u.Cached), slog.Int64("reasoning_tokens", u.Reasoning))
}

// millis is a time in milliseconds, to the microsecond.
func millis(name string, d time.Duration) slog.Attr {
	return slog.Float64(name, float64(d.Microseconds())/1000)
}

// limit lets so many lines through in each second. Its zero value is ready.
type limit struct {
	second atomic.Int64
	lines  atomic.Int64
	missed atomic.Int64
}

// allow reports whether there is room for a line now, and how many found none
// since the last that did.
func (l *limit) allow(now, lines int64) (ok bool, missed int64) {
	second := now / int64(time.Second)
	if old := l.second.Load(); old != second && l.second.CompareAndSwap(old, second) {
		l.lines.Store(0)
	}
	if l.lines.Add(1) > lines {
		l.missed.Add(1)
		return false, 0
	}
	return true, l.missed.Swap(0)
}
