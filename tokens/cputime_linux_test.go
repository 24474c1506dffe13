package tokens

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is how long work keeps a CPU busy, which other load does not change
// much. (What the garbage collector does beside it is not in it.)
func cpuTime(work func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime()
	work()
	return threadTime() - start
}

func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
