package route

import "time"

// started anchors the gateway's clock: unix nanoseconds that advance with the
// monotonic clock, so that a step of the wall clock neither refills a bucket,
// nor makes a latency negative, nor ends a rest or shows one that is over.
var started = time.Now()

var startedUnix = started.UnixNano()

// Now returns the time in unix nanoseconds, by which requests are timed and
// targets judged and shown. It never goes backwards.
func Now() int64 { return startedUnix + int64(time.Since(started)) }
