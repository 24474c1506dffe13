package main

import (
	"strings"
	"testing"
)

func TestBudgetsAreReadAsWritten(t *testing.T) {
	const text = "# why\n# and how\ngo1.26.8 linux/amd64\n\nbalance       BenchmarkPick/items=3  91  0\nbench/loadgen  BenchmarkX            0   2\n"
	b, err := parseBudgets(text)
	if err != nil || len(b.comment) != 2 || b.version != "go1.26.8 linux/amd64" {
		t.Fatal(b, err)
	}
	if want := (leaf{"balance", "BenchmarkPick/items=3", 91, 0}); b.leaves[0] != want {
		t.Errorf("%+v", b.leaves[0])
	}
	again, err := parseBudgets(b.String())
	if err != nil || again.String() != b.String() || again.leaves[1] != b.leaves[1] {
		t.Errorf("%v\n%s", err, again)
	}
	if b, err = parseBudgets("server BenchmarkNew\n"); err != nil || b.leaves[0] != (leaf{pkg: "server", benchmark: "BenchmarkNew"}) {
		t.Errorf("a line without figures: %+v, %v", b, err)
	}
	for _, bad := range []string{"", "# nothing\n", "server\n", "server TestX 1 2\n", "server BenchmarkX 1\n", "server BenchmarkX 1 y\n"} {
		if _, err := parseBudgets(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// Dearer is more than a tenth more instructions, or one allocation; another Go
// may make other code, another processor none that can be compared.
func TestWhatIsDearer(t *testing.T) {
	const here = "go1.26.8 linux/amd64"
	f := func(version string, instructions, allocations int64, dearer bool) {
		t.Helper()
		want, got := leaf{instructions: 1000, allocations: 1}, leaf{instructions: instructions, allocations: allocations}
		if v := marginFor(version, here).judge(want, got); v.dearer != dearer {
			t.Errorf("%d instructions and %d allocations against %s: %+v", instructions, allocations, version, v)
		}
	}
	f(here, 1000, 1, false)
	f(here, 1104, 1, false)
	f(here, 1105, 1, true)
	f(here, 500, 0, false)
	f(here, 500, 2, true)
	f("go1.27.0 linux/amd64", 1500, 1, false)
	f("go1.27.0 linux/amd64", 1700, 1, true)
	f("go1.26.8 linux/arm64", 9000, 1, false)
	f("go1.26.8 linux/arm64", 1000, 2, true)
}

func TestReportFailsForADearLeaf(t *testing.T) {
	b := &budgets{version: version(), leaves: []leaf{{"a", "BenchmarkA", 100, 0}, {"b", "BenchmarkB", 100, 0}}}
	var out strings.Builder
	if err := report(&out, b, []leaf{{"a", "BenchmarkA", 101, 0}, {"b", "BenchmarkB", 60, 0}}); err != nil || !strings.Contains(out.String(), "cheaper") {
		t.Errorf("%v\n%s", err, &out)
	}
	err := report(&out, b, []leaf{{"a", "BenchmarkA", 101, 0}, {"b", "BenchmarkB", 160, 0}})
	if err == nil || !strings.Contains(err.Error(), "1 of 2") || !strings.Contains(out.String(), "DEARER than 114") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestCountsAreFoundInWhatIsPrinted(t *testing.T) {
	const ran = "BenchmarkX/a         \t    2200\t     15996 ns/op\t  74.52 MB/s\t       0 B/op\t       3 allocs/op\nPASS\n"
	const counted = "==18659== \n==18659== I   refs:      86,927,412\n"
	if i, a, err := parseCount(ran + counted); i != 86_927_412 || a != 3 || err != nil {
		t.Error(i, a, err)
	}
	if _, _, err := parseCount("PASS\n" + counted); err != errNotRun {
		t.Error(err)
	}
	if _, _, err := parseCount(ran); err != errNotCounted {
		t.Error(err)
	}
	if got := pattern("BenchmarkX/a.b"); got != `^BenchmarkX$/^a\.b$` {
		t.Error(got)
	}
}
