package loadgen

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// Sweep is a report for each of some rates.
type Sweep []*Report

// Measure loads the targets, one or two, at each rate in turn: rounds times
// each, in the other order in every second round, so that neither is always
// the first. No rates is the plan's own. progress is told before each run.
func Measure(ctx context.Context, targets []*Target, p Plan, rates []float64, rounds int, progress func(round int, t *Target, p *Plan)) (Sweep, error) {
	if len(rates) == 0 {
		rates = []float64{p.Rate}
	}
	var all Sweep
	for _, rate := range rates {
		p.Rate = rate
		report := &Report{Plan: p, Targets: make([]Measured, len(targets))}
		for round := range rounds {
			for i := range targets {
				if round%2 == 1 {
					i = len(targets) - 1 - i
				}
				progress(round, targets[i], &p)
				result, err := Run(ctx, targets[i], p)
				if err != nil {
					return nil, err
				}
				report.Targets[i].Name = targets[i].Name
				report.Targets[i].Rounds = append(report.Targets[i].Rounds, result)
			}
		}
		all = append(all, report)
	}
	return all, nil
}

// Wrong is how many answers were not as they should be, of all targets.
func (s Sweep) Wrong() (n int64) {
	for _, r := range s {
		n += r.Wrong()
	}
	return n
}

// Print writes all reports, and a table of the rates if there are several.
func (s Sweep) Print(w io.Writer) error {
	for i, r := range s {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := r.Print(w); err != nil {
			return err
		}
	}
	if len(s) < 2 {
		return nil
	}
	fmt.Fprint(w, "\nLatency by rate\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "rate\t\tanswered/s\twrong\tp50\tp99\tp99.9\t\n")
	for _, r := range s {
		for i := range r.Targets {
			t := &r.Targets[i]
			sum := t.Sum()
			fmt.Fprintf(table, "%g\t%s\t%.4g\t%d\t%s\t%s\t%s\t\n", r.Plan.Rate, t.Name, t.answered(&r.Plan), sum.Wrong(),
				short(sum.Latency.Quantile(0.5)), short(sum.Latency.Quantile(0.99)), short(sum.Latency.Quantile(0.999)))
		}
	}
	return table.Flush()
}
