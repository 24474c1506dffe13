package loadgen

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Print writes the report as tables for a person.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", r.kind())
	for i := range r.Targets {
		r.Targets[i].print(w, &r.Plan)
	}
	if r.empty() {
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\t")
	for _, s := range shares {
		fmt.Fprintf(table, "%s\t", s.name)
	}
	fmt.Fprintln(table)
	for _, m := range measures {
		r.printMeasure(table, m)
	}
	return table.Flush()
}

// empty reports whether there is a target without a time.
func (r *Report) empty() bool {
	return slices.ContainsFunc(r.Targets, func(m Measured) bool { return m.Sum().Latency.Count() == 0 })
}

// kind says what was sent.
func (r *Report) kind() string {
	kind := fmt.Sprintf("%g requests a second", r.Plan.Rate)
	switch {
	case r.Plan.Closed:
		kind = fmt.Sprintf("%d connections, each busy all the time,", r.Plan.Connections)
	case r.Plan.Poisson:
		kind += " at random moments"
	}
	answers := "whole answers"
	if r.Plan.Stream {
		answers = "streams"
	}
	kind += fmt.Sprintf(" for %v, %s", r.Plan.Time, answers)
	if n := len(r.Targets[0].Rounds); n > 1 {
		kind += fmt.Sprintf(", in each of %d rounds", n)
	}
	return kind
}

// print says what was answered, and what a reader should know before the
// times.
func (m *Measured) print(w io.Writer, p *Plan) {
	sum := m.Sum()
	fmt.Fprintf(w, "\n%s\n", m.Name)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  requests\t%d\n  right\t%d\n", sum.Requests, sum.Right)
	for _, kind := range slices.Sorted(maps.Keys(sum.Faults)) {
		fmt.Fprintf(table, "  %s\t%d\n", kind, sum.Faults[kind])
	}
	line := func(n int64, name, note string) {
		if n > 0 {
			fmt.Fprintf(table, "  %s\t%d\t%s\n", name, n, note)
		}
	}
	line(sum.WarmFaults, "wrong in the warm-up", "")
	fmt.Fprintf(table, "  answered a second\t%.4g\n", m.answered(p))
	line(sum.Waited, "waited", "every connection was busy; that time counts, --connections gives more")
	line(sum.Reconnects, "sent again", "the server had closed the idle connection")
	line(sum.Opened, "connections", "")
	line(sum.Skewed, "came before they were sent", "the provider's clock is another: \"one way\" says nothing")
	if !p.Closed {
		fmt.Fprintf(table, "  sent late, p99\t%s\tthis program's own delay; it counts, too\n", short(sum.Late.Quantile(0.99)))
	}
	_ = table.Flush() // what w does not take, Print's own table does not get through either
}

// printMeasure writes a row for each target, and the ratio of two.
func (r *Report) printMeasure(table io.Writer, m measure) {
	for i := range r.Targets {
		t := &r.Targets[i]
		h := m.of(t.Sum())
		if h.Count() == 0 {
			continue
		}
		name := m.name
		if len(r.Targets) > 1 {
			name += " " + t.Name
		}
		fmt.Fprintf(table, "%s\t", name)
		for _, s := range shares {
			fmt.Fprintf(table, "%s\t", short(h.Quantile(s.q)))
		}
		fmt.Fprintln(table)
	}
	if r.ratios(m) {
		fmt.Fprintf(table, "%s ratio\t", m.name)
		for _, s := range shares {
			fmt.Fprintf(table, "%s\t", r.ratio(m, s.q))
		}
		fmt.Fprintln(table)
	}
}
