package loadgen

import (
	"sync"
	"time"
)

// Result is what became of the requests of one or more runs.
type Result struct {
	Requests   int64            // that were due
	Right      int64            // of them, answered 200 with a whole completion
	Faults     map[string]int64 // of the others: how many by kind, such as "429 rate_limit_exceeded"
	WarmFaults int64            // wrong answers before the counting began
	Took       time.Duration    // until the last answer, without the warm-up

	// Waited were due while every connection was busy. Their waiting is in
	// their time; many of them ask for more connections.
	Waited     int64
	Reconnects int64 // the server had closed an idle connection; the request went over a new one
	Opened     int64 // connections, those of the warm-up included

	// InTime is how many right answers came while the plan's time ran, those to
	// requests of the warm-up included: of a server that cannot keep up, fewer
	// than were due.
	InTime int64

	// From the moment that a request was due, to the end of the answer, to
	// its first byte, and to a stream's first event. Only right answers count,
	// and those given up for lack of one: the time that they waited.
	Latency, FirstByte, FirstEvent Histogram
	Gap                            Histogram // between two events of a stream
	// Delay is how long an event was on its way, by the time that it carries
	// (see StampName). Skewed came before they were sent: the clocks differ,
	// and the delays say nothing.
	Delay  Histogram
	Skewed int64
	Late   Histogram // how late a request with a free connection left: the generator's own delay
}

// Wrong is how many answers were not as they should be, or not there.
func (r *Result) Wrong() int64 { return r.Requests - r.Right + r.WarmFaults }

// Merge adds what another run has counted.
func (r *Result) Merge(o *Result) {
	r.Requests += o.Requests
	r.Right += o.Right
	r.WarmFaults += o.WarmFaults
	r.Took += o.Took
	r.Waited += o.Waited
	r.Reconnects += o.Reconnects
	r.Opened += o.Opened
	r.InTime += o.InTime
	r.Skewed += o.Skewed
	for kind, n := range o.Faults {
		r.fault(kind, n)
	}
	r.Latency.Merge(&o.Latency)
	r.FirstByte.Merge(&o.FirstByte)
	r.FirstEvent.Merge(&o.FirstEvent)
	r.Gap.Merge(&o.Gap)
	r.Delay.Merge(&o.Delay)
	r.Late.Merge(&o.Late)
}

// maxKinds bounds Faults: the codes in it are the server's words.
const maxKinds = 32

func (r *Result) fault(kind string, n int64) {
	if r.Faults == nil {
		r.Faults = map[string]int64{}
	}
	if _, known := r.Faults[kind]; !known && len(r.Faults) >= maxKinds {
		kind = "other"
	}
	r.Faults[kind] += n
}

// exchange is one request and what became of it.
type exchange struct {
	due, sent             time.Time
	firstByte, firstEvent time.Time // zero when there was none
	end                   time.Time
	gaps, delays          []time.Duration // its caller's, until the next request
	fault                 string          // empty when the answer was right
	unanswered            bool            // given up for having waited too long
	waited, reconnected   bool
}

// tally collects exchanges of all workers.
type tally struct {
	from, until time.Time // what is counted; set before the workers start

	mu     sync.Mutex // guards result while workers run
	result Result
}

func (t *tally) add(x *exchange, warm bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.result
	if x.fault == "" && x.end.After(t.from) && !x.end.After(t.until) {
		r.InTime++
	}
	if warm {
		if x.fault != "" {
			r.WarmFaults++
		}
		return
	}
	r.Requests++
	if x.reconnected {
		r.Reconnects++
	}
	if x.waited {
		r.Waited++
	} else {
		r.Late.Record(x.sent.Sub(x.due))
	}
	if x.fault != "" {
		r.fault(x.fault, 1)
		if x.unanswered {
			r.Latency.Record(x.end.Sub(x.due))
		}
		return
	}
	r.Right++
	r.times(x)
}

// times records what a right answer took.
func (r *Result) times(x *exchange) {
	r.Latency.Record(x.end.Sub(x.due))
	r.FirstByte.Record(x.firstByte.Sub(x.due))
	if !x.firstEvent.IsZero() {
		r.FirstEvent.Record(x.firstEvent.Sub(x.due))
	}
	for _, gap := range x.gaps {
		r.Gap.Record(gap)
	}
	for _, delay := range x.delays {
		if delay < 0 {
			r.Skewed++
			continue
		}
		r.Delay.Record(delay)
	}
}
