package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report prints the figures as they come, and at the end what they say.
type report struct {
	o       options
	servers []*server
	Machine string               `json:"machine"`
	Load    string               `json:"load"`
	Rounds  map[string][]figures `json:"rounds"`
	Cost    map[string]float64   `json:"cpu_us"` // medians
	Ratios  []float64            `json:"ratios"` // the first server's cost by the second's, by round
	Ratio   float64              `json:"ratio"`  // their median
}

func newReport(o options, servers []*server) *report {
	load := fmt.Sprintf("%d connections, %d B requests, %d B answers", o.connections, o.request, o.answer)
	if o.rate > 0 {
		load += fmt.Sprintf(", %.0f requests/s", o.rate)
	}
	if o.load == "stream" {
		load = fmt.Sprintf("%d streams of %d events, one every %v", o.connections, o.events, o.gap)
	}
	return &report{
		o: o, servers: servers, Machine: machine(), Load: load,
		Rounds: map[string][]figures{}, Cost: map[string]float64{},
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
	fmt.Printf("%-5s %-10s %9s %9s %6s %9s %9s\n", "round", "server", "us/"+r.unit(), r.unit()+"s/s", "cores", "p50", "p99")
}

func (r *report) add(round int, s *server, f figures) {
	r.Rounds[s.name] = append(r.Rounds[s.name], f)
	fmt.Printf("%-5d %-10s %9.2f %9.0f %6.2f %9v %9v\n", round+1, s.name, f.cost(),
		float64(f.units())/f.Took.Seconds(), f.CPU.Seconds()/f.Took.Seconds(), f.P50.Round(time.Microsecond), f.P99.Round(time.Microsecond))
}

// finish compares round by round, which cancels what both met in it.
func (r *report) finish() error {
	first, second := r.servers[0].name, r.servers[1].name
	for _, s := range r.servers {
		var costs []float64
		for _, f := range r.Rounds[s.name] {
			costs = append(costs, f.cost())
		}
		r.Cost[s.name] = median(costs)
	}
	for i := range r.Rounds[first] {
		r.Ratios = append(r.Ratios, r.Rounds[first][i].cost()/r.Rounds[second][i].cost())
	}
	r.Ratio = median(r.Ratios)
	fmt.Printf("\nmedians: %s %.2f us, %s %.2f us per %s; ratio %.2f (rounds: %.2f to %.2f)\n",
		first, r.Cost[first], second, r.Cost[second], r.unit(), r.Ratio, slices.Min(r.Ratios), slices.Max(r.Ratios))
	if r.o.json == "" {
		return nil
	}
	out, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(r.o.json, append(out, '\n'), 0o644)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// machine names the processor and the compiler.
func machine() string {
	cpu := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			cpu = strings.Trim(name, "\t :\n")
			break
		}
	}
	return fmt.Sprintf("%s, %d CPUs, %s", cpu, runtime.NumCPU(), runtime.Version())
}
