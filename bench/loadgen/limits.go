package loadgen

import (
	"fmt"
	"time"
)

// Limits are what the first target must keep to, at every rate.
type Limits struct {
	Times    []TimeLimit
	Errors   float64 // the largest share of answers that may be wrong; 0 allows none, 1 all
	Ratio    float64 // the largest ratio of the p50 latencies of two targets, in the middle round; 0 asks nothing
	Answered float64 // right answers a second, at least; 0 asks nothing
}

// TimeLimit bounds a quantile of a measure.
type TimeLimit struct {
	Measure, Share string // as in the report: "latency", "p99"
	Most           time.Duration
}

// Exceeded names, a line each, which limits were not kept. A time of which
// there is none, because nothing was answered or nothing carries it, is a limit
// not kept, too.
func (s Sweep) Exceeded(l Limits) (all []string) {
	for _, r := range s {
		at := ""
		if len(s) > 1 {
			at = fmt.Sprintf(" at %g/s", r.Plan.Rate)
		}
		for _, fault := range r.exceeded(l) {
			all = append(all, fault+at)
		}
	}
	return all
}

func (r *Report) exceeded(l Limits) (all []string) {
	for _, t := range l.Times {
		all = append(all, r.slower(t)...)
	}
	first := &r.Targets[0]
	if sum := first.Sum(); float64(sum.Requests-sum.Right) > l.Errors*float64(sum.Requests) {
		all = append(all, fmt.Sprintf("%.3g%% of %d answers wrong, above %g%%", 100*float64(sum.Requests-sum.Right)/float64(sum.Requests), sum.Requests, 100*l.Errors))
	}
	if got := first.answered(&r.Plan); got < l.Answered {
		all = append(all, fmt.Sprintf("%.4g answered a second, below %g", got, l.Answered))
	}
	if l.Ratio > 0 {
		all = append(all, r.worse(l.Ratio)...)
	}
	return all
}

// slower checks a limit of time.
func (r *Report) slower(t TimeLimit) []string {
	for _, m := range measures {
		for _, s := range shares {
			if m.name != t.Measure || s.name != t.Share {
				continue
			}
			h := m.of(r.Targets[0].Sum())
			switch got := h.Quantile(s.q); {
			case h.Count() == 0:
				return []string{fmt.Sprintf("no %s to hold against %v", m.name, t.Most)}
			case got > t.Most:
				return []string{fmt.Sprintf("%s %s %s, above %v", m.name, s.name, short(got), t.Most)}
			}
			return nil
		}
	}
	panic("BUG: no measure " + t.Measure + " " + t.Share)
}

// worse checks the limit of the ratio.
func (r *Report) worse(most float64) []string {
	if !r.ratios(measures[0]) {
		return []string{"no ratio: there are no times of two targets"}
	}
	if got := r.ratio(measures[0], 0.5); got.Median > most {
		return []string{fmt.Sprintf("latency ratio p50 %s, above %g", got, most)}
	}
	return nil
}
