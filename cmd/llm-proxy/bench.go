package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"llmproxy/bench/loadgen"
	"llmproxy/config"
)

// benchmark loads a gateway, or two in turn, and prints what their answers
// took. It fails when an answer was wrong.
func benchmark(ctx context.Context, o *config.Options, out, errOut io.Writer) error {
	b, err := benchOptions(o.Args, out)
	if err != nil || b == nil {
		return err
	}
	targets, err := b.targets(o)
	if err != nil {
		return err
	}
	report := loadgen.Report{Plan: b.plan, Targets: make([]loadgen.Measured, len(targets))}
	for round := range b.rounds {
		for i := range targets {
			if round%2 == 1 { // nobody is always the first
				i = len(targets) - 1 - i
			}
			fmt.Fprintf(errOut, "round %d of %d: %s, %v\n", round+1, b.rounds, targets[i].Name, b.plan.Warm+b.plan.Time)
			result, err := loadgen.Run(ctx, targets[i], b.plan)
			if err != nil {
				return err
			}
			report.Targets[i].Name = targets[i].Name
			report.Targets[i].Rounds = append(report.Targets[i].Rounds, result)
		}
	}
	if err := b.publish(&report, out); err != nil {
		return err
	}
	if n := report.Wrong(); n > 0 {
		return fmt.Errorf("bench: %s not as they should be", count(int(n), "answer"))
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
		return nil, fmt.Errorf("bench: %w", err)
	}
	if b.against == "" {
		return []*loadgen.Target{first}, nil
	}
	second, err := loadgen.NewTarget(b.against, b.againstKey, trust)
	if err != nil {
		return nil, fmt.Errorf("bench: --against: %w", err)
	}
	return []*loadgen.Target{first, second}, nil
}

// publish prints the report and writes the files that were asked for.
func (b *benchFlags) publish(r *loadgen.Report, out io.Writer) error {
	if err := r.Print(out); err != nil {
		return err
	}
	if b.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.json, append(text, '\n'), 0o644); err != nil {
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
	if err := r.Plot(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// benchPreset is what is sent when no flag says otherwise.
var benchPreset = loadgen.Plan{
	Rate: 100, Time: 10 * time.Second, Warm: time.Second, Timeout: 30 * time.Second,
	Connections: 64, PromptBytes: 500,
}
