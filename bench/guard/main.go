// Command guard tells when a hot leaf of the gateway has become dearer: in
// machine instructions, or in allocations, per operation of its benchmark.
//
//	go run ./bench/guard            # compare with bench/results/guard.txt
//	go run ./bench/guard -update    # measure anew, and write that file
//
// Instructions are counted by valgrind, not timed: the same program gives the
// same number on a machine that is slow, busy or shared. It sees work, not
// waiting: a lock that is fought for or memory that is far away costs time that
// no instruction shows. Those are for the benchmarks (see bench/README.md).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("guard", flag.ContinueOnError)
	name := flags.String("budgets", "bench/results/guard.txt", "the `file` of what each leaf may cost")
	update := flags.Bool("update", false, "write what is measured into the file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*name)
	if err != nil {
		return err
	}
	b, err := parseBudgets(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", *name, err)
	}
	got, err := measureAll(ctx, b.leaves)
	if err != nil {
		return err
	}
	if *update {
		b.version, b.leaves = version(), got
		return os.WriteFile(*name, []byte(b.String()), 0o644)
	}
	return report(out, b, got)
}

// version is what instructions depend on beside the code.
func version() string {
	return fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// report prints a line a leaf, and fails when one is dearer than it may be.
func report(out io.Writer, b *budgets, got []leaf) error {
	dearer := 0
	m := marginFor(b.version, version())
	if m.note != "" {
		fmt.Fprintln(out, "guard:", m.note)
	}
	for i, want := range b.leaves {
		verdict := m.judge(want, got[i])
		if verdict.dearer {
			dearer++
		}
		fmt.Fprintf(out, "guard: %-44s %9d instructions (%+5.1f %%), %d allocations%s\n",
			want.pkg+" "+want.benchmark, got[i].instructions, change(want, got[i]), got[i].allocations, verdict.text)
	}
	if dearer > 0 {
		return fmt.Errorf("%d of %d leaves cost more than they did; if that is worth it, say why in the commit that runs make guard-update", dearer, len(got))
	}
	return nil
}

// measureAll measures every leaf, as many at a time as there are processors.
func measureAll(ctx context.Context, leaves []leaf) ([]leaf, error) {
	dir, err := os.MkdirTemp("", "guard-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	v, err := newValgrind(dir)
	if err != nil {
		return nil, err
	}
	if err := v.build(ctx, leaves); err != nil {
		return nil, err
	}
	got, errs := make([]leaf, len(leaves)), make([]error, len(leaves))
	free := make(chan bool, runtime.NumCPU())
	var all sync.WaitGroup
	for i := range leaves {
		all.Go(func() {
			free <- true
			defer func() { <-free }()
			got[i], errs[i] = v.measure(ctx, leaves[i])
		})
	}
	all.Wait()
	return got, errors.Join(errs...)
}
