package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"llmproxy/bench/loadgen"
	"llmproxy/config"
)

// benchmark loads a gateway, or two in turn, and prints what their answers
// took. It fails when an answer was wrong, or a limit was not kept.
func benchmark(ctx context.Context, o *config.Options, lookup func(string) (string, bool), out, errOut io.Writer) error {
	b, err := benchOptions(o.Args, lookup, out)
	if err != nil || b == nil {
		return err
	}
	targets, err := b.targets(o)
	if err != nil {
		return err
	}
	sweep, err := loadgen.Measure(ctx, targets, b.plan, b.rates, b.rounds, func(round int, t *loadgen.Target, p *loadgen.Plan) {
		rate := ""
		if len(b.rates) > 1 {
			rate = fmt.Sprintf("%g/s, ", p.Rate)
		}
		fmt.Fprintf(errOut, "%sround %d of %d: %s, %v\n", rate, round+1, b.rounds, t.Name, p.Warm+p.Time)
	})
	if err != nil {
		return err
	}
	if err := b.publish(sweep, out); err != nil {
		return err
	}
	return b.verdict(sweep)
}

// verdict is nil if all was as it should be.
func (b *benchFlags) verdict(s loadgen.Sweep) error {
	if n := s.Wrong(); n > 0 && !b.maxErrors {
		return fmt.Errorf("bench: %s not as they should be", count(int(n), "answer"))
	}
	if broken := s.Exceeded(b.limits); len(broken) > 0 {
		return coded{errors.New("bench: not within the limits:\n  " + strings.Join(broken, "\n  ")), exitLimit}
	}
	return nil
}

// targets are what is loaded. Certificates are checked as a provider's are.
func (b *benchFlags) targets(o *config.Options) ([]*loadgen.Target, error) {
	roots, err := providerRoots(o.CAFile)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{RootCAs: roots, InsecureSkipVerify: !o.VerifySSL} // the user's setting
	first, err := loadgen.NewTarget(b.url, b.key, trust)
	if err != nil {
		return nil, coded{fmt.Errorf("bench: %w", err), exitUsage}
	}
	if b.against == "" {
		return []*loadgen.Target{first}, nil
	}
	second, err := loadgen.NewTarget(b.against, b.againstKey, trust)
	if err != nil {
		return nil, coded{fmt.Errorf("bench: --against: %w", err), exitUsage}
	}
	return []*loadgen.Target{first, second}, nil
}

// publish prints the report and writes the files that were asked for.
func (b *benchFlags) publish(s loadgen.Sweep, out io.Writer) error {
	if b.json != "-" {
		if err := s.Print(out); err != nil {
			return err
		}
	}
	if b.json != "" {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		text = append(text, '\n')
		if b.json == "-" {
			_, err = out.Write(text)
		} else {
			err = os.WriteFile(b.json, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if b.svg == "" {
		return nil
	}
	f, err := os.Create(b.svg)
	if err != nil {
		return err
	}
	if err := s.Plot(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

var benchHelp = helpPage{
	head: `Usage: llm-proxy bench URL [flags]

Sends chat requests at a fixed rate to a gateway, or to anything that speaks
OpenAI's API, checks every answer, and prints what they took. A request's time
runs from the moment at which it was due: what a stall holds up counts.
`,
	groups: []helpGroup{
		{"Targets", []string{"key", "against", "against-key", "rounds"}},
		{"Load", []string{"rate", "rates", "poisson", "closed", "time", "warm", "connections", "fresh", "timeout"}},
		{"Requests", []string{"model", "stream", "prompt-bytes", "answer-tokens"}},
		{"Results", []string{"json", "svg"}},
		{"Limits of the first target, at every rate", []string{
			"max-p50", "max-p90", "max-p99", "max-p99.9", "max-first-byte-p99", "max-first-event-p99",
			"max-gap-p99", "max-one-way-p99", "max-errors", "min-answered", "max-ratio",
		}},
		{"Settings, as of the gateway", nil},
	},
	settings: `  --ca-file FILE
        further root certificates (PEM) to trust, for https (CA_FILE)
  --verify-ssl=false
        trust any certificate (VERIFY_SSL)
`,
	tail: `Exit code: 0 all as it should be; 1 it could not be measured, or an answer was
wrong and --max-errors not given; 2 the flags cannot be used; 3 a limit was not
kept.

Examples:
  llm-proxy mock --port 9000 --interval 20ms &
  llm-proxy bench http://127.0.0.1:9000 --rate 500
  BENCH_KEY=... llm-proxy bench http://127.0.0.1:18000 --stream --against http://127.0.0.1:9000
  llm-proxy bench http://127.0.0.1:18000 --rates 500,1000,2000 --svg latency.svg
  llm-proxy bench http://127.0.0.1:18000 --max-p99 50ms --max-errors 0.1%
`,
}
