package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"llmproxy/bench/loadgen"
	"llmproxy/demo"
)

// benchFlags are the flags of llm-proxy bench.
type benchFlags struct {
	url, key            string
	against, againstKey string
	rounds              int // 0 is the default of one target, or of two
	plan                loadgen.Plan
	json, svg           string
}

// declare puts the flags on f.
func (b *benchFlags) declare(f *flag.FlagSet) {
	b.plan = benchPreset
	f.StringVar(&b.key, "key", "", "client `key`; none is needed where none is asked for")
	f.Float64Var(&b.plan.Rate, "rate", b.plan.Rate, "requests a second, whether or not those before are answered")
	f.DurationVar(&b.plan.Time, "time", b.plan.Time, "how long a target is loaded, in each round")
	f.DurationVar(&b.plan.Warm, "warm", b.plan.Warm, "load before that, which is not counted")
	f.DurationVar(&b.plan.Timeout, "timeout", b.plan.Timeout, "an answer must be there within this")
	f.IntVar(&b.plan.Connections, "connections", b.plan.Connections, "most requests at once; more of them wait, and their time runs")
	f.StringVar(&b.plan.Model, "model", demo.Model, "what is asked for")
	f.BoolVar(&b.plan.Stream, "stream", false, "ask for streams")
	f.IntVar(&b.plan.PromptBytes, "prompt-bytes", b.plan.PromptBytes, "length of the prompt")
	f.StringVar(&b.against, "against", "", "a second `URL`, loaded in turn with the first, and the ratio of the two")
	f.StringVar(&b.againstKey, "against-key", "", "client `key` for it; --key is not sent there")
	f.IntVar(&b.rounds, "rounds", 0, "rounds, in each of which every target is loaded once (default 1, with --against 3)")
	f.StringVar(&b.json, "json", "", "also write the figures to this `file`")
	f.StringVar(&b.svg, "svg", "", "also draw the latency by percentile into this `file`")
}

// benchOptions reads the address and the flags of llm-proxy bench, in any
// order. For --help it prints them and returns nil.
func benchOptions(args []string, help io.Writer) (*benchFlags, error) {
	b := &benchFlags{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	b.declare(f)
	var addresses []string
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			benchHelp(f, help)
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		if f.NArg() == 0 {
			break
		}
		addresses, args = append(addresses, f.Arg(0)), f.Args()[1:]
	}
	if len(addresses) != 1 {
		return nil, errors.New("bench: needs one URL, such as http://127.0.0.1:18000; llm-proxy bench --help lists the flags")
	}
	b.url = addresses[0]
	return b, b.check()
}

// check finds what cannot be done, before anything is sent.
func (b *benchFlags) check() error {
	if b.rounds == 0 {
		b.rounds = 1
		if b.against != "" {
			b.rounds = 3
		}
	}
	if b.rounds < 1 || b.rounds > 1000 {
		return errors.New("bench: there must be 1 to 1000 rounds")
	}
	if err := b.plan.Check(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

func benchHelp(f *flag.FlagSet, w io.Writer) {
	fmt.Fprint(w, "Usage: llm-proxy bench URL [flags]\n\n"+
		"Sends chat requests at a fixed rate to a gateway, or to anything that speaks\n"+
		"OpenAI's API, and prints what the answers took. A request's time runs from the\n"+
		"moment at which it was due. The exit code is 1 if any answer was wrong.\n\n")
	f.SetOutput(w)
	f.PrintDefaults()
}
