package main

import (
	"flag"
	"io"

	"llmproxy/demo"
)

// mockOptions reads the flags of llm-proxy mock.
func mockOptions(args []string) (o demo.Options, err error) {
	f := flag.NewFlagSet("mock", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.DurationVar(&o.Latency, "latency", 0, "before every answer")
	f.DurationVar(&o.Gap, "gap", 0, "between two words of a stream")
	f.IntVar(&o.Tokens, "tokens", 0, "words in an answer; 0 is the text's own length")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	return o, nil
}
