//go:build !linux

package loadgen

import "time"

// timerError is how late timers may be: nothing better than they is at hand.
const timerError = 0

func sleep(d time.Duration) { time.Sleep(d) }
