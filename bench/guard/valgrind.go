package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// valgrind runs benchmarks of test programs on a processor that it plays, and
// counts what they execute. Its processor is the same on every machine of a
// kind, so Go chooses the same code for it.
//
// What a program does beside the operations (its start, the benchmark's
// preparations) is taken out by running it twice, with few operations and with
// many: what an operation costs is the difference, by their number.
type valgrind struct {
	program string
	dir     string // of the test programs
}

const (
	enough   = 30_000_000 // instructions that tell the operations from the noise, which is 50,000
	fewest   = 100        // operations, for allocations to come out even
	most     = 1_000_000
	fewShare = 10 // the run with few operations has this part of the other's
)

func newValgrind(dir string) (*valgrind, error) {
	program, err := exec.LookPath("valgrind")
	if err != nil {
		return nil, fmt.Errorf("%w; scripts/guard.sh installs it", err)
	}
	return &valgrind{program, dir}, nil
}

// build makes the test program of every folder.
func (v *valgrind) build(ctx context.Context, leaves []leaf) error {
	// Without symbols for debuggers, which valgrind would read each time.
	args := []string{"test", "-c", "-ldflags=-s -w", "-o", v.dir + "/"}
	for _, l := range leaves {
		if !slices.Contains(args, "./"+l.pkg) {
			args = append(args, "./"+l.pkg)
		}
	}
	if said, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests: %w\n%s", err, said)
	}
	return nil
}

// measure finds what an operation of the leaf costs. What is known of it says
// how many are worth their time; else a few tell it roughly, more of them
// better, until there were enough.
func (v *valgrind) measure(ctx context.Context, l leaf) (leaf, error) {
	operations := int64(fewest)
	if l.instructions > 0 {
		operations = worth(l)
	}
	for {
		got, err := v.between(ctx, l, operations)
		if err != nil || operations >= worth(got)/2 {
			return got, err
		}
		operations = min(worth(got), 50*operations)
	}
}

// worth is how many operations tell what one costs.
func worth(l leaf) int64 { return min(max(enough/max(l.instructions, 1), fewest), most) }

// between measures with so many operations.
func (v *valgrind) between(ctx context.Context, l leaf, operations int64) (leaf, error) {
	few := operations / fewShare
	small, _, err := v.count(ctx, l, few)
	if err != nil {
		return leaf{}, err
	}
	large, allocations, err := v.count(ctx, l, few+operations)
	if err != nil {
		return leaf{}, err
	}
	l.instructions, l.allocations = max(0, large-small+operations/2)/operations, allocations
	return l, nil
}

// count runs so many operations, and returns the instructions of the whole
// program and the allocations of one operation.
func (v *valgrind) count(ctx context.Context, l leaf, operations int64) (instructions, allocations int64, err error) {
	cmd := exec.CommandContext(ctx, v.program, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
		filepath.Join(v.dir, path.Base(l.pkg)+".test"), "-test.run=^$", "-test.benchmem", "-test.bench="+pattern(l.benchmark), fmt.Sprintf("-test.benchtime=%dx", operations))
	cmd.Dir = l.pkg
	// Nothing runs beside the benchmark: no collector, no other processor, no
	// signal that takes a goroutine off it.
	cmd.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	said, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("%s %s: %w\n%s", l.pkg, l.benchmark, err, said)
	}
	instructions, allocations, err = parseCount(string(said))
	if err != nil {
		return 0, 0, fmt.Errorf("%s %s: %w in\n%s", l.pkg, l.benchmark, err, said)
	}
	return instructions, allocations, nil
}

// pattern is the regular expression of one benchmark, as go test takes it.
func pattern(benchmark string) string {
	parts := strings.Split(benchmark, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

var (
	executed  = regexp.MustCompile(`(?m)^==\d+== I +refs: +([\d,]+)\s*$`)
	allocated = regexp.MustCompile(`(?m)^Benchmark.* (\d+) allocs/op`)

	errNotRun     = errors.New("no benchmark has run: was it renamed?")
	errNotCounted = errors.New("no count of instructions")
)

func parseCount(said string) (instructions, allocations int64, err error) {
	a := allocated.FindAllStringSubmatch(said, -1)
	if len(a) != 1 {
		return 0, 0, errNotRun
	}
	i := executed.FindStringSubmatch(said)
	if i == nil {
		return 0, 0, errNotCounted
	}
	if instructions, err = strconv.ParseInt(strings.ReplaceAll(i[1], ",", ""), 10, 64); err != nil {
		return 0, 0, err
	}
	allocations, err = strconv.ParseInt(a[0][1], 10, 64)
	return instructions, allocations, err
}
