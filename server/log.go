package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"llmproxy/metrics"
	"llmproxy/route"
)

// journal writes what the operator needs to know of requests. It never names
// a key, a prompt or an answer.
type journal struct {
	log      *slog.Logger
	lines    int64            // of one kind in a second, so that an outage does not drown the log, or the gateway in it
	leftOut  *metrics.Counter // lines that were not written
	attempts limit
	broken   limit
}

func newJournal(log *slog.Logger, lines int64, m *metrics.Registry) *journal {
	return &journal{log: log, lines: lines, leftOut: m.LimitHits("max_log_lines")}
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

// request writes a line for a request that has ended: at debug, or as a
// warning when the client lost something.
func (j *journal) request(x *exchange, end ending, took time.Duration) {
	if end.lost() {
		if ok, missed := j.allow(&j.broken); ok {
			j.log.Warn("request failed", append(x.attrs(end, took), "error", end.err, "not_logged", missed)...)
		}
		return
	}
	if j.log.Enabled(context.Background(), slog.LevelDebug) {
		j.log.Debug("request", x.attrs(end, took)...)
	}
}

func (x *exchange) attrs(end ending, took time.Duration) []any {
	provider, key := "", ""
	if x.caller != nil {
		key = x.caller.Name
	}
	if x.target != nil {
		provider = x.target.Provider.Name
	}
	return []any{
		"endpoint", x.endpoint.path, "status", x.status, "outcome", end.outcome.String(), "provider", provider,
		"attempts", x.attempts, "api_key_name", key, "duration_ms", took.Milliseconds(),
		"request_id", string(x.id), "upstream_request_id", string(x.upID),
	}
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
