package overload

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// heap measures the memory that the program cannot do without.
//
// GOMEMLIMIT bounds all that the runtime holds, but a heap that stands at the
// limit may be mostly garbage: the collector lets it come there on purpose. So
// what counts is what the last collection found alive, and all that is no heap.
type heap struct {
	samples []metrics.Sample
}

func newHeap() *heap {
	h := &heap{}
	for _, name := range []string{
		"/gc/heap/live:bytes",
		"/memory/classes/heap/stacks:bytes",
		"/memory/classes/os-stacks:bytes",
		"/memory/classes/metadata/mcache/inuse:bytes",
		"/memory/classes/metadata/mspan/inuse:bytes",
		"/memory/classes/metadata/other:bytes",
		"/memory/classes/other:bytes",
		"/memory/classes/profiling/buckets:bytes",
	} {
		h.samples = append(h.samples, metrics.Sample{Name: name})
	}
	return h
}

func (h *heap) inUse() int64 {
	metrics.Read(h.samples)
	var sum uint64
	for _, s := range h.samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return int64(min(sum, math.MaxInt64))
}

// HeedMemoryLimit makes the Go runtime keep to the memory that the process may
// have, and returns that limit in bytes, 0 if there is none. It is GOMEMLIMIT
// if that is set; else nine tenths of what the control group (a container's
// limit) allows, for the kernel counts what the runtime does not see. Without
// it the heap may double before it is collected, into the kernel's arms.
//
// It changes the whole process and is called once, before serving.
func HeedMemoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit
	}
	allowed := groupLimit(os.DirFS("/"))
	if allowed == 0 {
		return 0
	}
	limit := allowed / 10 * 9
	debug.SetMemoryLimit(limit)
	return limit
}

// groupLimit returns the tightest memory limit of the process's control group
// and those around it, 0 without one. root is the root directory: version 2
// and version 1 of cgroups say it in different files.
func groupLimit(root fs.FS) int64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0 // not Linux
	}
	least := int64(0)
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			least = tighter(least, upwards(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case hasController(parts[1], "memory"):
			least = tighter(least, upwards(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	return least
}

func hasController(list, name string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == name {
			return true
		}
	}
	return false
}

// upwards returns the tightest limit from the group up to the root of its
// mount. In a container the path may be the host's and not exist here; then the
// mount's root is the container's own group.
func upwards(root fs.FS, mount, group, file string) int64 {
	least := int64(0)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		least = tighter(least, readLimit(root, path.Join(mount, at, file)))
		if at == "/" {
			return least
		}
	}
}

// unlimited is above any machine's memory: version 1 says "no limit" by a
// number near the largest.
const unlimited = 1 << 60

// readLimit reads one limit; 0 is none.
func readLimit(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 || n >= unlimited { // "max"
		return 0
	}
	return n
}

func tighter(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
