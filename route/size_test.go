package route

import (
	"runtime"
	"testing"
)

// A table costs what its keys cost: so many bytes and allocations a key,
// whatever the machine. 100,000 keys are to take about 100 MB at most while the
// table is built, in a second on a machine that does nothing else (see
// BenchmarkBuild, which says how long it takes and what remains).
func TestBuildIsPaidByTheKey(t *testing.T) {
	const few, many = 1000, 21_000
	cost := func(keys int) (allocations, bytes uint64) {
		set, b := fleet(10, 10, keys), newTestBuilder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		table, err := b.Build(set, nil)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		defer closeClients(table, nil)
		if len(table.callers) != keys || len(table.models.exact) != 10 {
			t.Fatal("the table is not whole")
		}
		return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
	}
	allocs0, bytes0 := cost(few)
	allocs1, bytes1 := cost(many)
	allocs, bytes := (allocs1-allocs0)/(many-few), (bytes1-bytes0)/(many-few)
	t.Logf("%d allocations and %d bytes a key", allocs, bytes)
	if allocs > maxKeyAllocations || bytes > maxKeyBytes {
		t.Errorf("a key costs %d allocations and %d bytes to build, want %d and %d at most", allocs, bytes, maxKeyAllocations, maxKeyBytes)
	}
}

const (
	maxKeyAllocations = 16
	maxKeyBytes       = 1280
)
