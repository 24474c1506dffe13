package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"llmproxy/bench/testbed"
)

// report prints the figures as they come, and at the end what they say.
type report struct {
	o       options
	servers []*testbed.Server
	Machine string               `json:"machine"`
	Load    string               `json:"load"`
	Rounds  map[string][]figures `json:"rounds"`
	Cost    map[string]float64   `json:"cpu_us"` // medians
	Ratios  []float64            `json:"ratios"` // the first server's cost by the second's, by round
	Ratio   float64              `json:"ratio"`  // their median
	Rivals  map[string]string    `json:"rivals"` // version, and what was on
}

func newReport(o options, servers []*testbed.Server) *report {
	load := fmt.Sprintf("%d connections, %d B requests, %d B answers", o.connections, o.request, o.answer)
	if o.rate > 0 {
		load += fmt.Sprintf(", %.0f requests/s", o.rate)
	}
	if o.load == "stream" {
		load = fmt.Sprintf("%d streams of %d events, one every %v", o.connections, o.events, o.gap)
	}
	return &report{
		o: o, servers: servers, Machine: testbed.Machine(), Load: load,
		Rounds: map[string][]figures{}, Cost: map[string]float64{}, Rivals: map[string]string{},
	}
}

func (r *report) unit() string {
	if r.o.load == "stream" {
		return "event"
	}
	return "request"
}

func (r *report) printHead() {
	fmt.Printf("%s\n%s; CPU time of the server per %s\n\n", r.Machine, r.Load, r.unit())
	fmt.Printf("%-5s %-10s %9s %10s %6s %9s %9s\n", "round", "server", "us/"+r.unit(), r.unit()+"s/s", "cores", "p50", "p99")
}

func (r *report) add(round int, s *testbed.Server, f figures) {
	r.Rounds[s.Name] = append(r.Rounds[s.Name], f)
	fmt.Printf("%-5d %-10s %9.2f %9.0f %6.2f %9v %9v\n", round+1, s.Name, f.cost(),
		float64(f.units())/f.Took.Seconds(), f.CPU.Seconds()/f.Took.Seconds(), f.P50.Round(time.Microsecond), f.P99.Round(time.Microsecond))
}

// finish compares round by round, which cancels what both met in it.
func (r *report) finish() error {
	first, second := r.servers[0].Name, r.servers[1].Name
	for _, s := range r.servers {
		var costs []float64
		for _, f := range r.Rounds[s.Name] {
			costs = append(costs, f.cost())
		}
		r.Cost[s.Name] = median(costs)
	}
	for i := range r.Rounds[first] {
		r.Ratios = append(r.Ratios, r.Rounds[first][i].cost()/r.Rounds[second][i].cost())
	}
	r.Ratio = median(r.Ratios)
	fmt.Printf("\nmedians: %s %.2f us, %s %.2f us per %s; ratio %.2f (rounds: %.2f to %.2f)\n",
		first, r.Cost[first], second, r.Cost[second], r.unit(), r.Ratio, slices.Min(r.Ratios), slices.Max(r.Ratios))
	if len(r.Rivals) > 0 {
		r.printTable()
	}
	if r.o.svg != "" {
		if err := r.draw(r.o.svg); err != nil {
			return err
		}
	}
	if r.o.json == "" {
		return nil
	}
	out, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(r.o.json, append(out, '\n'), 0o644)
}

// printTable sums all servers up, in Markdown.
func (r *report) printTable() {
	fmt.Printf("\n| server | us of CPU per %s | beside nginx | %ss/s | p50 | p99 |\n|---|---|---|---|---|---|\n", r.unit(), r.unit())
	base := r.Rounds[r.servers[1].Name]
	for _, s := range r.servers {
		var ratio, rate, p50, p99 []float64
		for i, f := range r.Rounds[s.Name] {
			ratio = append(ratio, f.cost()/base[i].cost())
			rate = append(rate, float64(f.units())/f.Took.Seconds())
			p50, p99 = append(p50, f.P50.Seconds()), append(p99, f.P99.Seconds())
		}
		fmt.Printf("| %s | %.1f | %.2f | %.0f | %.1f ms | %.1f ms |\n", s.Name, r.Cost[s.Name],
			median(ratio), median(rate), 1e3*median(p50), 1e3*median(p99))
	}
	for _, s := range r.servers {
		if said, ok := r.Rivals[s.Name]; ok {
			fmt.Printf("%s %s\n", s.Name, said)
		}
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
