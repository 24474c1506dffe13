package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"llmproxy/bench/mockllm/provider"
	"llmproxy/demo"
)

// mockTokens is how long an answer is when no flag says otherwise.
const mockTokens = 64

// mockOptions reads the flags of llm-proxy mock. For --help it prints them and
// returns nil.
func mockOptions(args []string, help io.Writer) (*provider.Options, error) {
	o := &provider.Options{Model: demo.Model, Stamp: provider.InField}
	f := flag.NewFlagSet("mock", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	declareMock(f, o)
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil, mockHelp.print(help, f)
	}
	if err != nil {
		return nil, coded{fmt.Errorf("mock: %s", flagFault(err)), exitUsage}
	}
	if f.NArg() > 0 {
		return nil, coded{errors.New("mock: takes flags alone; llm-proxy mock --help lists them"), exitUsage}
	}
	if err := o.Check(); err != nil {
		return nil, coded{fmt.Errorf("mock: %w", err), exitUsage}
	}
	return o, nil
}

func declareMock(f *flag.FlagSet, o *provider.Options) {
	f.IntVar(&o.Tokens, "tokens", mockTokens, "tokens in an answer, if the request's max_tokens does not want fewer; each is a word")
	f.IntVar(&o.Bytes, "answer-bytes", 0, "length of a whole answer's body instead, whatever its tokens")
	f.DurationVar(&o.Latency, "latency", 0, "what half of the requests wait at most before they are answered; all of them, without --latency-p99")
	f.DurationVar(&o.LatencyP99, "latency-p99", 0, "what 99 of 100 wait at most: the waits are drawn from the log-normal distribution through both")
	f.Float64Var(&o.TokensPerSecond, "tokens-per-second", 0, "how fast it talks: whole answers take as long as their tokens; 0 is at once")
	f.DurationVar(&o.Interval, "interval", 0, "between two events of a stream, of one token each, or of what --tokens-per-second makes of it")
	f.DurationVar(&o.Interval, "gap", 0, "the same as --interval")
	f.Func("errors", "`share` of the requests that are refused, such as 1% or 0.01", shareInto(&o.Errors))
	o.ErrorStatus = []int{500}
	f.Func("error-status", "their `status`, or several, of which each is as likely, such as 429,500,503 (default 500)", func(list string) error {
		o.ErrorStatus = nil
		for text := range strings.SplitSeq(list, ",") {
			status, err := strconv.Atoi(text)
			if err != nil {
				return errors.New("is a number from 400 to 599, or several with commas")
			}
			o.ErrorStatus = append(o.ErrorStatus, status)
		}
		return nil
	})
	f.Var(&o.Stamp, "stamp", "`where` the events of a stream say when they were sent, for bench's one-way delay: a field of the object (field), "+
		"the text, for gateways that drop fields (content), or nowhere (off)")
}

// shareInto reads 0.1% or 0.001.
func shareInto(into *float64) func(string) error {
	return func(text string) error {
		number, percent := strings.CutSuffix(text, "%")
		v, err := strconv.ParseFloat(number, 64)
		if percent {
			v /= 100
		}
		if err != nil || !(v >= 0) || v > 1 {
			return errors.New("is a share, such as 0.1% or 0.001")
		}
		*into = v
		return nil
	}
}

var mockHelp = helpPage{
	head: `Usage: llm-proxy mock [flags]

Runs a provider for load tests on HOST and PORT: it speaks OpenAI's API, takes
every key and every model, and answers as late, as slowly and as wrongly as it
is told to.
`,
	groups: []helpGroup{
		{"Answers", []string{"tokens", "answer-bytes", "stamp"}},
		{"Pace", []string{"latency", "latency-p99", "tokens-per-second", "interval", "gap"}},
		{"Faults", []string{"errors", "error-status"}},
		{"Settings", nil},
	},
	settings: `  --host ADDRESS, --port NUMBER
        where it listens (HOST, PORT: as for the gateway)
`,
	tail: `Examples:
  llm-proxy mock --port 9000
  llm-proxy mock --port 9000 --latency 300ms --latency-p99 2s --tokens-per-second 60
  llm-proxy mock --port 9000 --interval 20ms --tokens 100 --errors 1% --error-status 429,503
`,
}
