// Package usage writes down what each admitted request was: who asked, who
// answered, how it ended and what it cost in tokens.
//
// A Record never holds a prompt, an answer or a key: only names, numbers and
// times. Where records go is behind Sink. The Ledger is the Sink that loses
// none without counting it:
//
//	request ─▶ queue ─▶ journal ─▶ Store
//	           memory   disk       database
//
// Record puts a record on the queue and never waits. One goroutine writes what
// is queued to the journal, files of this process's own, and syncs them to the
// disk. Another ships the journal to the Store in batches, each with the
// position that it reaches, so that every record is stored exactly once,
// whoever is killed in between.
//
// Lock order: Ledger and queue have none; a journal's mutex is a leaf.
package usage

import (
	"slices"
	"time"
)

// Record is one admitted request, once it has ended. It is a value: whoever
// gets one may keep it.
type Record struct {
	// ID is unique and rises roughly with time. The Ledger gives it.
	ID uint64

	RequestID     string // the x-request-id of the answer
	At            time.Time
	APIKeyID      int64 // of the credential; 0 without one
	APIKeyName    string
	Endpoint      string // the route's path, "/v1/chat/completions"
	Model         string // the public name that was asked for
	UpstreamModel string // the name the provider was asked for; "" if none was
	Provider      string // whose answer the client got, or who was asked last; "" if nobody was
	Status        int    // that the client saw, or would have seen
	Stream        bool
	Attempts      int // providers asked, 0 when none could be
	Outcome       Outcome
	Phase         string // of Cancelled: what the request waited for
	Code          string // of Failed: the error's code

	Prompt     int64 // tokens
	Completion int64 // tokens
	Cached     int64 // part of Prompt
	Reasoning  int64 // part of Completion
	Source     Source

	CostMicroUSD int64 // millionths of a US dollar

	TTFT     time.Duration // from the arrival to the first content of a stream; 0 if there was none
	Duration time.Duration // from the arrival to the end
	Overhead time.Duration // of Duration, the gateway's own; 0 if it was not measured
}

// Result says how the request ended as records show it: ok, rejected,
// error:CODE, truncated or client_gone:PHASE.
func (r *Record) Result() string {
	switch {
	case r.Outcome == Failed && r.Code != "":
		return r.Outcome.String() + ":" + r.Code
	case r.Outcome == Cancelled && r.Phase != "":
		return r.Outcome.String() + ":" + r.Phase
	}
	return r.Outcome.String()
}

// Source says where the token counts come from.
type Source uint8

// The sources, from the best.
const (
	None      Source = iota // nothing was used, or nothing is known
	Upstream                // the provider said so
	Counted                 // counted here, with the model's own encoding
	Estimated               // guessed from the length, or counted with an encoding that may be wrong
	Partial                 // a stream was cut: what had come by then
)

var sources = [...]string{"none", "upstream", "counted", "estimated", "partial"}

// String returns the source as records and metrics show it.
func (s Source) String() string { return sources[s] }

// Outcome says how a request ended.
type Outcome uint8

// The outcomes.
const (
	Complete  Outcome = iota // the client has the whole answer, which may be a provider's error
	Refused                  // the gateway answered itself: no provider was asked, or none was fit
	Failed                   // every provider that was asked failed
	Truncated                // the answer began and broke off at the provider
	Cancelled                // the client left
)

var outcomes = [...]string{"ok", "rejected", "error", "truncated", "client_gone"}

// String returns the outcome as records show it, without its detail.
func (o Outcome) String() string { return outcomes[o] }

// Sink takes records. Record is called once for every admitted request, on the
// request's own goroutine: it must not block.
type Sink interface {
	Record(Record)
}

// Discard is the Sink that keeps nothing.
var Discard Sink = discard{}

type discard struct{}

func (discard) Record(Record) {}

// ParseSource returns the source of a name; None of one that is unknown.
func ParseSource(name string) Source { return Source(max(0, slices.Index(sources[:], name))) }

// ParseOutcome returns the outcome of a name; Complete of one that is unknown.
func ParseOutcome(name string) Outcome { return Outcome(max(0, slices.Index(outcomes[:], name))) }
