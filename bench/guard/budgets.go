package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// leaf is a benchmark and what an operation of it costs. 0 instructions are
// not measured yet.
type leaf struct {
	pkg          string // its folder
	benchmark    string // "BenchmarkX/sub"
	instructions int64
	allocations  int64
}

// budgets are a file of leaves: comments, the version that they were measured
// with, and a line each.
type budgets struct {
	comment []string
	version string // of Go, and the system
	leaves  []leaf
}

func parseBudgets(text string) (*budgets, error) {
	b := &budgets{}
	number := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		number++
		switch {
		case strings.HasPrefix(line, "#"):
			b.comment = append(b.comment, line)
		case strings.HasPrefix(line, "go"):
			b.version = line
		case line != "":
			l, err := parseLeaf(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			b.leaves = append(b.leaves, l)
		}
	}
	if len(b.leaves) == 0 {
		return nil, fmt.Errorf("no leaf in it")
	}
	return b, nil
}

// parseLeaf reads a line; without figures, which -update adds, it is one, too.
func parseLeaf(line string) (leaf, error) {
	words := strings.Fields(line)
	if len(words) != 2 && len(words) != 4 || !strings.HasPrefix(words[1], "Benchmark") {
		return leaf{}, fmt.Errorf("%q is not: folder, benchmark, instructions, allocations", line)
	}
	l := leaf{pkg: words[0], benchmark: words[1]}
	if len(words) == 2 {
		return l, nil
	}
	var err error
	if l.instructions, err = strconv.ParseInt(words[2], 10, 64); err == nil {
		l.allocations, err = strconv.ParseInt(words[3], 10, 64)
	}
	return l, err
}

// String is the file.
func (b *budgets) String() string {
	var s strings.Builder
	for _, c := range b.comment {
		s.WriteString(c + "\n")
	}
	s.WriteString(b.version + "\n\n")
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	for _, l := range b.leaves {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", l.pkg, l.benchmark, l.instructions, l.allocations)
	}
	_ = w.Flush() // a Builder takes everything
	return s.String()
}

// margin is how much more a leaf may cost before that is called dearer.
type margin struct {
	percent      int64 // of the instructions; below 0: they are not compared
	instructions int64 // and so many more, for the smallest leaves
	note         string
}

// marginFor says what two versions let one compare. Another Go makes other
// code of the same lines; another processor has other instructions.
func marginFor(budget, here string) margin {
	_, systemThen, _ := strings.Cut(budget, " ")
	_, systemNow, _ := strings.Cut(here, " ")
	switch {
	case budget == here:
		return margin{percent: 10, instructions: 4}
	case systemThen == systemNow:
		return margin{60, 20, fmt.Sprintf("the budgets are of %s, this is %s: more than 60 %% is too much, instead of 10", budget, here)}
	}
	return margin{-1, 0, fmt.Sprintf("the budgets are of %s, this is %s: only allocations are compared", budget, here)}
}

// verdict is what a person is told of a leaf.
type verdict struct {
	dearer bool
	text   string
}

func (m margin) judge(want, got leaf) verdict {
	limit := want.instructions*(100+m.percent)/100 + m.instructions
	switch {
	case got.allocations > want.allocations:
		return verdict{true, fmt.Sprintf(": MORE than %d", want.allocations)}
	case m.percent >= 0 && got.instructions > limit:
		return verdict{true, fmt.Sprintf(": DEARER than %d", limit)}
	case m.percent >= 0 && got.instructions < want.instructions*80/100 || got.allocations < want.allocations:
		return verdict{false, ": cheaper; make guard-update keeps it so"}
	}
	return verdict{}
}

// change is by how many percent got is dearer.
func change(want, got leaf) float64 {
	if want.instructions == 0 {
		return 0
	}
	return float64(got.instructions-want.instructions) / float64(want.instructions) * 100
}
