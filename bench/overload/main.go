// Command overload measures what llm-proxy does when more comes in than it can
// do: how much of its peak it still answers, how long those take that it lets
// in, how quickly it refuses the others, what memory it holds, and how soon it
// is as before.
//
//	go run ./bench/overload                     # 0.5, 1, 2 and 3 times what it can do
//	go run ./bench/overload -time 60s -v        # longer, and every second of it
//	go run ./bench/overload -set OVERLOAD_DELAY_MS=50
//
// The peak is found first, by a closed loop; then requests come by the clock
// (an open loop), whether or not the earlier ones have been answered. The
// gateway has one processor for itself, the provider and this program share
// another, so that it is the gateway that has too much to do. See
// bench/README.md for the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"llmproxy/bench/testbed"
)

// options say what is measured.
type options struct {
	factors     []float64 // of the peak
	measured    time.Duration
	warm        time.Duration
	delay       time.Duration // of the provider
	request     int           // bytes
	answer      int           // bytes
	connections int           // at most
	gatewayCPU  int
	otherCPU    int
	gateway     string // a program that is built already
	settings    []string
	json        string
	verbose     bool
}

func main() {
	o := options{factors: []float64{0.5, 1, 2, 3}}
	flag.Func("factors", "what is offered, in parts of the peak, the unloaded one first (default 0.5,1,2,3)", o.readFactors)
	flag.DurationVar(&o.measured, "time", 20*time.Second, "measured time of each factor")
	flag.DurationVar(&o.warm, "warm", 5*time.Second, "time before it")
	flag.DurationVar(&o.delay, "delay", 50*time.Millisecond, "how long the provider takes for an answer")
	flag.IntVar(&o.request, "request", 1024, "bytes of a request's body")
	flag.IntVar(&o.answer, "answer", 1024, "bytes of an answer's body")
	flag.IntVar(&o.connections, "connections", 8000, "connections that may be open at once; who finds none is not sent")
	flag.IntVar(&o.gatewayCPU, "gateway-cpu", 0, "processor of the gateway")
	flag.IntVar(&o.otherCPU, "other-cpu", 1, "processor of the provider and of this program")
	flag.StringVar(&o.gateway, "gateway", "", "llm-proxy program to measure (default: it is built)")
	flag.Func("set", "a setting of the gateway, NAME=value; may be repeated", func(s string) error {
		o.settings = append(o.settings, s)
		return nil
	})
	flag.StringVar(&o.json, "json", "", "also write the figures to this file")
	flag.BoolVar(&o.verbose, "v", false, "print every second")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

func (o *options) readFactors(list string) error {
	o.factors = nil
	for text := range strings.SplitSeq(list, ",") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f <= 0 || f > 100 {
			return errors.New("a factor is a number above 0, 100 at most")
		}
		o.factors = append(o.factors, f)
	}
	return nil
}

// measure starts the programs, finds the peak, offers each factor of it, and
// watches the gateway recover.
func measure(ctx context.Context, o options) error {
	gateway, end, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer end()
	r := newReport(o)
	l := newLoad(gateway, o)
	defer l.close()
	if r.Peak, err = l.saturate(ctx, r); err != nil {
		return err
	}
	r.printHead()
	for _, f := range o.factors {
		s, err := l.offer(ctx, f, r.Peak*f, o.warm+o.measured, r)
		if err != nil {
			return err
		}
		r.add(s.figures(f, o.warm))
		if f != o.factors[len(o.factors)-1] {
			if err := l.quiet(ctx); err != nil {
				return err
			}
		}
	}
	if err := l.recover(ctx, r); err != nil {
		return err
	}
	return r.finish()
}

// start runs the provider and the gateway, each where it belongs.
func start(ctx context.Context, o options) (*testbed.Server, func(), error) {
	b, err := testbed.New(ctx)
	if err != nil {
		return nil, nil, err
	}
	b.GatewayCPUs, b.OtherCPUs = strconv.Itoa(o.gatewayCPU), strconv.Itoa(o.otherCPU)
	gateway, err := bring(b, o)
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return gateway, b.Close, nil
}

func bring(b *testbed.Bed, o options) (*testbed.Server, error) {
	if err := b.Build(o.gateway); err != nil {
		return nil, err
	}
	if err := b.StartProvider("-answer", strconv.Itoa(o.answer), "-delay", o.delay.String()); err != nil {
		return nil, err
	}
	gateway, err := b.StartGateway(o.settings...)
	if err != nil {
		return nil, err
	}
	return gateway, testbed.StayOn(o.otherCPU)
}
