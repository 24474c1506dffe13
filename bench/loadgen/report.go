package loadgen

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what one target, or two in turn, did in some rounds.
type Report struct {
	Plan    Plan
	Targets []Measured
}

// Measured is one target's part: a Result a round.
type Measured struct {
	Name   string
	Rounds []*Result
}

// Sum is all rounds as one.
func (m *Measured) Sum() *Result {
	sum := &Result{}
	for _, r := range m.Rounds {
		sum.Merge(r)
	}
	return sum
}

// Wrong is how many answers were not as they should be, of all targets.
func (r *Report) Wrong() (n int64) {
	for i := range r.Targets {
		n += r.Targets[i].Sum().Wrong()
	}
	return n
}

// share is a column: a quantile by its name.
type share struct {
	name string
	q    float64
}

var shares = []share{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

// measure is a row: one of the histograms of a Result.
type measure struct {
	name string
	of   func(*Result) *Histogram
}

var measures = []measure{
	{"latency", func(r *Result) *Histogram { return &r.Latency }},
	{"first byte", func(r *Result) *Histogram { return &r.FirstByte }},
	{"first event", func(r *Result) *Histogram { return &r.FirstEvent }},
	{"gap", func(r *Result) *Histogram { return &r.Gap }},
}

// Print writes the report as tables for a person.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%g requests a second for %v, %s\n", r.Plan.Rate, r.Plan.Time, r.kind())
	for i := range r.Targets {
		r.Targets[i].print(w)
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

func (r *Report) kind() string {
	kind := "whole answers"
	if r.Plan.Stream {
		kind = "streams"
	}
	if n := len(r.Targets[0].Rounds); n > 1 {
		kind += fmt.Sprintf(", in each of %d rounds", n)
	}
	return kind
}

// print says what was answered, and what a reader should know before the
// times.
func (m *Measured) print(w io.Writer) {
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
	line(sum.Waited, "waited", "every connection was busy; that time counts, --connections gives more")
	line(sum.Reconnects, "sent again", "the server had closed the idle connection")
	fmt.Fprintf(table, "  sent late, p99\t%s\tthis program's own delay; it counts, too\n", short(sum.Late.Quantile(0.99)))
	_ = table.Flush() // what w does not take, Print's own table does not get through either
}

// printMeasure writes a row for each target, and the ratio of two.
func (r *Report) printMeasure(table io.Writer, m measure) {
	for i := range r.Targets {
		t := &r.Targets[i]
		h := m.of(t.Sum())
		if h.Count() == 0 {
			return
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
	if len(r.Targets) == 2 {
		fmt.Fprintf(table, "%s ratio\t", m.name)
		for _, s := range shares {
			fmt.Fprintf(table, "%s\t", r.ratio(m, s.q))
		}
		fmt.Fprintln(table)
	}
}

// Ratio is the first target's time by the second's: in the middle one of the
// rounds, in the least and in the most. By a time of 0 it is 0.
type Ratio struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// String is the ratio with its spread.
func (r Ratio) String() string {
	if r.Least == r.Most {
		return fmt.Sprintf("%.2f", r.Median)
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Median, r.Least, r.Most)
}

func (r *Report) ratio(m measure, q float64) Ratio {
	a, b := &r.Targets[0], &r.Targets[1]
	var each []float64
	for i := range a.Rounds {
		each = append(each, quotient(m.of(a.Rounds[i]), m.of(b.Rounds[i]), q))
	}
	slices.Sort(each)
	n := len(each)
	return Ratio{Median: (each[(n-1)/2] + each[n/2]) / 2, Least: each[0], Most: each[n-1]}
}

func quotient(a, b *Histogram, q float64) float64 {
	if b.Quantile(q) == 0 {
		return 0
	}
	return float64(a.Quantile(q)) / float64(b.Quantile(q))
}

// short is a time in three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}

// figures is a target in JSON: times in nanoseconds, by measure and quantile.
type figures struct {
	URL        string                              `json:"url"`
	Requests   int64                               `json:"requests"`
	Right      int64                               `json:"right"`
	Faults     map[string]int64                    `json:"faults,omitempty"`
	WarmFaults int64                               `json:"warm_up_faults,omitempty"`
	Waited     int64                               `json:"waited"`
	Reconnects int64                               `json:"reconnects"`
	Took       time.Duration                       `json:"took_ns"`
	LateP99    time.Duration                       `json:"sent_late_p99_ns"`
	Times      map[string]map[string]time.Duration `json:"times_ns"`
}

// MarshalJSON implements json.Marshaler.
func (r *Report) MarshalJSON() ([]byte, error) {
	out := struct {
		Rate        float64                     `json:"rate"`
		Time        time.Duration               `json:"time_ns"`
		Warm        time.Duration               `json:"warm_ns"`
		Connections int                         `json:"connections"`
		Model       string                      `json:"model"`
		Stream      bool                        `json:"stream"`
		PromptBytes int                         `json:"prompt_bytes"`
		Rounds      int                         `json:"rounds"`
		Targets     []figures                   `json:"targets"`
		Ratio       map[string]map[string]Ratio `json:"ratio,omitempty"`
	}{
		Rate: r.Plan.Rate, Time: r.Plan.Time, Warm: r.Plan.Warm, Connections: r.Plan.Connections,
		Model: r.Plan.Model, Stream: r.Plan.Stream, PromptBytes: r.Plan.PromptBytes, Rounds: len(r.Targets[0].Rounds),
	}
	for i := range r.Targets {
		out.Targets = append(out.Targets, r.Targets[i].figures())
	}
	if len(r.Targets) == 2 {
		out.Ratio = map[string]map[string]Ratio{}
		for _, m := range measures {
			if m.of(r.Targets[0].Sum()).Count() == 0 || m.of(r.Targets[1].Sum()).Count() == 0 {
				continue
			}
			out.Ratio[m.name] = map[string]Ratio{}
			for _, s := range shares {
				out.Ratio[m.name][s.name] = r.ratio(m, s.q)
			}
		}
	}
	return json.Marshal(out)
}

func (m *Measured) figures() figures {
	sum := m.Sum()
	f := figures{
		URL: m.Name, Requests: sum.Requests, Right: sum.Right, Faults: sum.Faults, WarmFaults: sum.WarmFaults, Waited: sum.Waited,
		Reconnects: sum.Reconnects, Took: sum.Took, LateP99: sum.Late.Quantile(0.99), Times: map[string]map[string]time.Duration{},
	}
	for _, m := range measures {
		h := m.of(sum)
		if h.Count() == 0 {
			continue
		}
		f.Times[m.name] = map[string]time.Duration{}
		for _, s := range shares {
			f.Times[m.name][s.name] = h.Quantile(s.q)
		}
	}
	return f
}
