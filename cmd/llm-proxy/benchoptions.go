package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"llmproxy/bench/loadgen"
	"llmproxy/demo"
)

// Where bench finds its keys if no flag has them: what stands on a command
// line can be seen by everyone on the machine.
const (
	benchKeyEnv        = "BENCH_KEY"
	benchAgainstKeyEnv = "BENCH_AGAINST_KEY"
)

// benchFlags are the flags of llm-proxy bench.
type benchFlags struct {
	url, key            string
	against, againstKey string
	rounds              int // 0 is the default of one target, or of two
	plan                loadgen.Plan
	rates               []float64 // of a sweep; nil: the plan's
	limits              loadgen.Limits
	maxErrors           bool // given: that many answers may be wrong
	json, svg           string
}

// benchPreset is what is sent when no flag says otherwise.
var benchPreset = loadgen.Plan{
	Rate: 100, Time: 10 * time.Second, Warm: time.Second, Timeout: 30 * time.Second,
	Connections: 64, PromptBytes: 500,
}

// declare puts the flags on f.
func (b *benchFlags) declare(f *flag.FlagSet) {
	b.plan = benchPreset
	f.StringVar(&b.key, "key", "", "client `key`; "+benchKeyEnv+" in the environment does not show it to others on the machine")
	f.StringVar(&b.against, "against", "", "a second `URL`, loaded in turn with the first, and the ratio of the two")
	f.StringVar(&b.againstKey, "against-key", "", "client `key` for it, or "+benchAgainstKeyEnv+"; the first one's is not sent there")
	f.IntVar(&b.rounds, "rounds", 0, "rounds, in each of which every target is loaded once, the other way round every second time (default 1, with --against 3)")

	f.Float64Var(&b.plan.Rate, "rate", b.plan.Rate, "requests a second, whether or not those before are answered")
	f.Func("rates", "several `rates`, one after another, such as 500,1000,2000", b.readRates)
	f.BoolVar(&b.plan.Poisson, "poisson", false, "requests come at random moments, as from many clients, instead of evenly")
	f.BoolVar(&b.plan.Closed, "closed", false, "no rate: each of the connections sends its next request when it has its answer; for the most that a server can do")
	f.DurationVar(&b.plan.Time, "time", b.plan.Time, "how long a target is loaded, in each round")
	f.DurationVar(&b.plan.Warm, "warm", b.plan.Warm, "load before that, which is not counted")
	f.IntVar(&b.plan.Connections, "connections", b.plan.Connections, "most requests, or streams, at once; more of them wait, and their time runs")
	f.BoolVar(&b.plan.Fresh, "fresh", false, "a new connection for every request, whose making counts")
	f.DurationVar(&b.plan.Timeout, "timeout", b.plan.Timeout, "an answer must be there within this")

	f.StringVar(&b.plan.Model, "model", demo.Model, "what is asked for")
	f.BoolVar(&b.plan.Stream, "stream", false, "ask for streams: also measures the first event, the gaps, and the way of each event if it says when it was sent (llm-proxy mock's do)")
	f.IntVar(&b.plan.PromptBytes, "prompt-bytes", b.plan.PromptBytes, "length of the prompt")
	f.IntVar(&b.plan.AnswerTokens, "answer-tokens", 0, "asked for as max_tokens; 0 leaves the length to the provider")

	f.StringVar(&b.json, "json", "", "also write the figures to this `file`; to standard output, in place of the tables, if it is -")
	f.StringVar(&b.svg, "svg", "", "also draw the latency by percentile, and by rate, into this `file`")
	b.declareLimits(f)
}

// timeLimits are the flags that bound a time.
var timeLimits = []struct{ flag, measure, share, of string }{
	{"max-p50", "latency", "p50", "half of the latencies"},
	{"max-p90", "latency", "p90", "90 of 100 latencies"},
	{"max-p99", "latency", "p99", "99 of 100 latencies"},
	{"max-p99.9", "latency", "p99.9", "999 of 1000 latencies"},
	{"max-first-byte-p99", "first byte", "p99", "99 of 100 times to the first byte"},
	{"max-first-event-p99", "first event", "p99", "99 of 100 times to a stream's first event"},
	{"max-gap-p99", "gap", "p99", "99 of 100 gaps between the events of a stream"},
	{"max-one-way-p99", "one way", "p99", "99 of 100 one-way delays of events"},
}

func (b *benchFlags) declareLimits(f *flag.FlagSet) {
	b.limits.Errors = 1 // without --max-errors, a wrong answer fails the command in another way
	for _, l := range timeLimits {
		f.Func(l.flag, "the most `time` that "+l.of+" may take", func(text string) error {
			most, err := time.ParseDuration(text)
			if err != nil || most <= 0 {
				return errors.New("is a time, such as 50ms")
			}
			b.limits.Times = append(b.limits.Times, loadgen.TimeLimit{Measure: l.measure, Share: l.share, Most: most})
			return nil
		})
	}
	f.Func("max-errors", "`share` of the answers that may be wrong, such as 0.1% (default: none)", shareInto(&b.limits.Errors))
	f.Float64Var(&b.limits.Answered, "min-answered", 0, "right answers a second, at least")
	f.Float64Var(&b.limits.Ratio, "max-ratio", 0, "with --against: the most that the ratio of the p50 latencies may be, in the middle round")
}

func (b *benchFlags) readRates(list string) error {
	b.rates = nil
	for text := range strings.SplitSeq(list, ",") {
		rate, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return errors.New("is a list of numbers, such as 500,1000,2000")
		}
		b.rates = append(b.rates, rate)
	}
	return nil
}

// benchOptions reads the address and the flags of llm-proxy bench, in any
// order. For --help it prints them and returns nil.
func benchOptions(args []string, lookup func(string) (string, bool), help io.Writer) (*benchFlags, error) {
	b := &benchFlags{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	b.declare(f)
	var addresses []string
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, benchHelp.print(help, f)
		}
		if err != nil {
			return nil, coded{errors.New("bench: " + flagFault(err)), exitUsage}
		}
		if f.NArg() == 0 {
			break
		}
		addresses, args = append(addresses, f.Arg(0)), f.Args()[1:]
	}
	if len(addresses) != 1 {
		return nil, coded{errors.New("bench: needs one URL, such as http://127.0.0.1:18000; llm-proxy bench --help lists the flags"), exitUsage}
	}
	b.url = addresses[0]
	b.complete(f, lookup)
	if err := b.check(f); err != nil {
		return nil, coded{fmt.Errorf("bench: %w", err), exitUsage}
	}
	return b, nil
}

// complete fills in what no flag said.
func (b *benchFlags) complete(f *flag.FlagSet, lookup func(string) (string, bool)) {
	if b.key == "" {
		b.key, _ = lookup(benchKeyEnv)
	}
	if b.againstKey == "" {
		b.againstKey, _ = lookup(benchAgainstKeyEnv)
	}
	if b.rounds == 0 {
		b.rounds = 1
		if b.against != "" {
			b.rounds = 3
		}
	}
	if b.plan.Closed && !given(f, "rate") {
		b.plan.Rate = 0
	}
	b.maxErrors = given(f, "max-errors")
}

// given reports whether a flag was on the command line.
func given(f *flag.FlagSet, name string) (found bool) {
	f.Visit(func(g *flag.Flag) { found = found || g.Name == name })
	return found
}

// check finds what cannot be done, before anything is sent.
func (b *benchFlags) check(f *flag.FlagSet) error {
	switch {
	case b.rounds < 1 || b.rounds > 100:
		return errors.New("there must be 1 to 100 rounds")
	case b.rates != nil && given(f, "rate"):
		return errors.New("--rate or --rates, not both")
	case b.rates != nil && b.plan.Closed:
		return errors.New("a closed loop has no rates")
	case len(b.rates) > 32:
		return errors.New("there are 32 rates at most")
	case b.limits.Ratio != 0 && b.against == "":
		return errors.New("--max-ratio needs --against")
	case !b.plan.Stream && b.streamLimit():
		return errors.New("a limit of events needs --stream")
	}
	plan := b.plan
	for _, rate := range b.rates {
		plan.Rate = rate
		if err := plan.Check(); err != nil {
			return err
		}
	}
	return plan.Check()
}

// streamLimit reports whether a limit is of what streams alone have.
func (b *benchFlags) streamLimit() bool {
	for _, l := range b.limits.Times {
		if l.Measure != "latency" && l.Measure != "first byte" {
			return true
		}
	}
	return false
}
