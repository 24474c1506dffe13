package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"llmproxy/bench/testbed"
)

// report prints the figures as they come, and at the end what they say.
type report struct {
	o        options
	Machine  string    `json:"machine"`
	Load     string    `json:"load"`
	Peak     float64   `json:"peak_per_second"`
	Steps    []figures `json:"steps"`
	Recovery int       `json:"recovery_seconds"` // -1: not within the time that was watched
	Left     int64     `json:"left"`             // requests in flight or queued when all were answered
}

func newReport(o options) *report {
	r := &report{o: o, Machine: testbed.Machine()}
	r.Load = fmt.Sprintf("the gateway on CPU %d; the provider (an answer takes it %v) and the generator on CPU %d\n"+
		"%d B requests, %d B answers, %v after %v for each factor, gateway settings %q",
		o.gatewayCPU, o.delay, o.otherCPU, o.request, o.answer, o.measured, o.warm, o.settings)
	fmt.Printf("%s\n%s\n\n", r.Machine, r.Load)
	return r
}

func (r *report) printLoop(connections int, f figures) {
	fmt.Printf("closed loop, %4d connections: %6.0f/s, p50 %v, p99 %v\n", connections, f.Goodput, ms(f.P50), ms(f.P99))
}

func (r *report) printHead() {
	fmt.Printf("\npeak: %.0f/s\n\n%-7s %9s %9s %6s %9s %8s %8s %8s %8s %8s %7s %8s %7s\n", r.Peak,
		"offered", "a second", "goodput", "peak", "refused", "(p50", "p99)", "let in:", "p99", "worst", "RSS", "unsent", "late")
	fmt.Printf("%-7s %9s %9s %6s %9s %8s %8s %8s %8s %8s %7s %8s %7s\n", "", "", "", "%", "a second", "ms", "ms", "p50 ms", "ms", "ms", "MB", "a second", "p99 ms")
}

func (r *report) row(name string, f figures) {
	fmt.Printf("%-7s %9.0f %9.0f %6.1f %9.0f %8s %8s %8s %8s %8s %7.1f %8.0f %7s\n", name, f.Offered, f.Goodput,
		100*f.Goodput/r.Peak, f.Refused, ms(f.RefusalP50), ms(f.RefusalP99), ms(f.P50), ms(f.P99), ms(f.Worst), float64(f.RSS)/1e6, f.Unsent, ms(f.LateP99))
}

func (r *report) printSecond(factor float64, s *step, i int) {
	r.row(fmt.Sprintf(" %d s", i+1), s.second(factor, i))
}

func (r *report) add(f figures) {
	r.Steps = append(r.Steps, f)
	r.row(fmt.Sprintf("%.1fx", f.Factor), f)
}

// asBefore is by how much the slowest of a hundred may take longer than before
// when the gateway has recovered; the second sum is for what a second's figure
// is uncertain by.
const (
	asBefore  = 1.1
	uncertain = 2 * time.Millisecond
)

// recovered finds the second from which on all is as in the first step.
func (r *report) recovered(s *step) {
	limit := time.Duration(float64(r.Steps[0].P99)*asBefore) + uncertain
	r.Recovery = -1
	for i := int(recovery/time.Second) - 1; i >= 0; i-- {
		if f := s.second(0, i); f.P99 > limit || f.Refused > 0 {
			break
		}
		r.Recovery = i
	}
}

// finish says whether the goals are met, and writes the file.
func (r *report) finish() error {
	fmt.Println()
	unloaded := r.Steps[0]
	for _, f := range r.Steps[1:] {
		if f.Factor > 1 {
			r.goal(f.Goodput >= 0.9*r.Peak, "%.1fx: goodput %.1f %% of the peak (goal: 90 or more)", f.Factor, 100*f.Goodput/r.Peak)
			r.goal(f.RefusalP99 < 50*time.Millisecond, "%.1fx: 99 of 100 refusals within %s ms (goal: 50)", f.Factor, ms(f.RefusalP99))
			r.goal(f.P99 <= 3*unloaded.P99, "%.1fx: p99 of those let in %s ms, %.1f times the unloaded one (goal: 3)", f.Factor, ms(f.P99), float64(f.P99)/float64(unloaded.P99))
		}
		r.goal(f.LateP99 < 20*time.Millisecond && f.Unsent == 0, "%.1fx: the generator kept its pace (p99 %s ms late, %.0f/s not sent)", f.Factor, ms(f.LateP99), f.Unsent)
	}
	r.goal(r.Recovery >= 0 && r.Recovery <= 5, "as before after %d s (goal: 5; -1: not at all)", r.Recovery)
	r.goal(r.Left == 0, "%d requests left in flight when all were answered (goal: 0)", r.Left)
	if r.o.json == "" {
		return nil
	}
	out, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(r.o.json, append(out, '\n'), 0o644)
}

func (r *report) goal(met bool, format string, args ...any) {
	word := "missed"
	if met {
		word = "met   "
	}
	fmt.Printf("%s  "+format+"\n", append([]any{word}, args...)...)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
