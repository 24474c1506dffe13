// Command compare measures what a request through llm-proxy costs, beside
// nginx doing the least that a proxy can do, on the same machine, in the same
// minutes, in front of the same provider.
//
//	go run ./bench/compare                 # as many requests as are answered
//	go run ./bench/compare -rate 2000      # a machine that is not busy
//	go run ./bench/compare -load stream    # events of open streams
//	go run ./bench/compare -fleet          # thousands of providers, models and keys, beside few
//	go run ./bench/compare -rival floor    # beside another server, too
//
// What counts is processor time per request (of the server's whole process
// tree, user and system), and its ratio to nginx: rates and latencies move
// with whatever else the machine does, and are shown for orientation. See
// bench/README.md for the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"llmproxy/bench/rivals"
	"llmproxy/bench/testbed"
)

// options say what is measured.
type options struct {
	load        string
	rounds      int
	connections int
	rate        float64
	measured    time.Duration
	warm        time.Duration
	request     int // bytes
	answer      int // bytes
	events      int // of a stream
	gap         time.Duration
	gateway     string // a program that is built already
	rival       string // names and files, see package rivals
	rivals      string // folder of what install.sh installed
	fleet       bool
	svg         string
	json        string
}

func main() {
	var o options
	flag.StringVar(&o.load, "load", "whole", "whole: answers of -answer bytes; stream: -events events each")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; in each one every server is measured once")
	flag.IntVar(&o.connections, "connections", 0, "connections that send one request after another (default: 64, streams: 200)")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second over all connections (default: as many as are answered)")
	flag.DurationVar(&o.measured, "time", 4*time.Second, "measured time of one server in one round")
	flag.DurationVar(&o.warm, "warm", time.Second, "time before it")
	flag.IntVar(&o.request, "request", 1024, "bytes of a request's body")
	flag.IntVar(&o.answer, "answer", 1024, "bytes of an answer's body")
	flag.IntVar(&o.events, "events", 100, "events of a stream")
	flag.DurationVar(&o.gap, "gap", 20*time.Millisecond, "pause between two events")
	flag.StringVar(&o.gateway, "gateway", "", "llm-proxy program to measure (default: it is built)")
	flag.StringVar(&o.rival, "rival", "", "also measure these, separated by commas: "+strings.Join(rivals.Names(), ", ")+", or files of .json that describe others")
	flag.StringVar(&o.rivals, "rivals", "", "folder that bench/rivals/install.sh has filled")
	flag.BoolVar(&o.fleet, "fleet", false, "compare llm-proxy with 1,000 providers, 1,000 models and 100,000 keys to itself with three and one, not to nginx")
	flag.StringVar(&o.svg, "svg", "", "also draw the medians into this file")
	flag.StringVar(&o.json, "json", "", "also write the figures to this file")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// compare starts the servers, measures them in turn, and prints the report.
func compare(ctx context.Context, o options) error {
	if o.load != "whole" && o.load != "stream" {
		return fmt.Errorf("-load %s: whole and stream are known", o.load)
	}
	if o.rounds < 1 || o.connections < 0 || o.rate < 0 {
		return errors.New("-rounds, -connections and -rate: nothing to do")
	}
	if o.connections == 0 {
		o.connections = 64
		if o.load == "stream" {
			o.connections = 200
		}
	}
	others, err := rivals.Parse(o.rival)
	if err != nil {
		return err
	}
	b, err := testbed.New(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Build(o.gateway); err != nil {
		return err
	}
	if err := b.StartProvider("-answer", fmt.Sprint(o.answer), "-events", fmt.Sprint(o.events), "-gap", o.gap.String()); err != nil {
		return err
	}
	gateway, err := b.StartGateway()
	if err != nil {
		return err
	}
	servers := []*testbed.Server{gateway, nil}
	if o.fleet {
		servers[0], err = b.StartFleet()
		servers[1] = gateway
	} else {
		servers[1], err = startNginx(b)
	}
	if err != nil {
		return err
	}
	for _, r := range others {
		s, err := r.Start(b, o.rivals)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	lengths, err := sameAnswers(ctx, o, b.Provider, servers)
	if err != nil {
		return err
	}
	r := newReport(o, servers)
	for i, other := range others {
		// The gateway and nginx come first.
		if err := settle(ctx, o, other, servers[2+i], lengths[2+i]); err != nil {
			return err
		}
		r.Rivals[other.Name] = other.Version + "; on: " + other.On
	}
	return measure(ctx, o, servers, lengths, r)
}

// settle loads a rival for as long as it needs to be at its best.
func settle(ctx context.Context, o options, r rivals.Rival, s *testbed.Server, length int) error {
	if r.Settle <= 0 {
		return nil
	}
	o.answer, o.warm, o.measured = length, time.Duration(r.Settle*float64(time.Second)), time.Second
	f, err := drive(ctx, o, s)
	if err != nil {
		return fmt.Errorf("%s, before it is measured: %w", s.Name, err)
	}
	fmt.Printf("%s has had %v of load, and is at %.0f us\n", s.Name, o.warm, f.cost())
	return nil
}

// measure takes the servers in turn, in the other order in every second round.
func measure(ctx context.Context, o options, servers []*testbed.Server, lengths []int, r *report) error {
	r.printHead()
	for round := range o.rounds {
		for i := range servers {
			if round%2 == 1 {
				i = len(servers) - 1 - i
			}
			s := servers[i]
			o.answer = lengths[i]
			f, err := drive(ctx, o, s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			r.add(round, s, f)
		}
	}
	return r.finish()
}
