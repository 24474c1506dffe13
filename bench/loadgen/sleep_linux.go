package loadgen

import (
	"syscall"
	"time"
)

// timerError is how late Go's timers may be: an idle process waits in epoll,
// which counts whole milliseconds. So long before the moment, sleep takes
// over, which the kernel ends within some 60 µs.
const timerError = 1500 * time.Microsecond

// sleep pauses for d, which is timerError at most, whatever signals come.
func sleep(d time.Duration) {
	rest := syscall.NsecToTimespec(int64(d))
	for syscall.Nanosleep(&rest, &rest) == syscall.EINTR {
	}
}
