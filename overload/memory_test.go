package overload

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestGroupLimit(t *testing.T) {
	f := func(what string, want int64, files map[string]string) {
		t.Helper()
		root := fstest.MapFS{}
		for name, text := range files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := groupLimit(root); got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	f("no Linux", 0, nil)
	f("version 2, a container", 536870912, map[string]string{
		"proc/self/cgroup":         "0::/\n",
		"sys/fs/cgroup/memory.max": "536870912\n",
	})
	f("version 2, no limit", 0, map[string]string{
		"proc/self/cgroup":         "0::/\n",
		"sys/fs/cgroup/memory.max": "max\n",
	})
	f("version 2, a service in a slice: the tightest counts", 1000, map[string]string{
		"proc/self/cgroup": "0::/system.slice/proxy.service\n",
		"sys/fs/cgroup/system.slice/proxy.service/memory.max": "2000\n",
		"sys/fs/cgroup/system.slice/memory.max":               "1000\n",
	})
	f("version 1", 700, map[string]string{
		"proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n",
		"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "700\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
	})
	f("version 1, the path is the host's", 800, map[string]string{
		"proc/self/cgroup":                           "4:memory:/docker/abc\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes": "800\n",
	})
	f("nonsense", 0, map[string]string{
		"proc/self/cgroup":         "0::/\nx\n::\n",
		"sys/fs/cgroup/memory.max": "-5\n",
	})
}

func TestMemoryLimitThatIsSetStays(t *testing.T) {
	before := debug.SetMemoryLimit(8 << 30)
	defer debug.SetMemoryLimit(before)
	if got := HeedMemoryLimit(); got != 8<<30 {
		t.Errorf("got %d", got)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	got := HeedMemoryLimit()
	if set := debug.SetMemoryLimit(-1); got == 0 && set != math.MaxInt64 || got != 0 && set != got {
		t.Errorf("told %d, set %d", got, set)
	}
}
