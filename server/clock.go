package server

import "time"

// started anchors the gateway's clock: unix nanoseconds that advance with the
// monotonic clock, so that a step of the wall clock neither refills a bucket
// nor makes a latency negative.
var started = time.Now()

var startedUnix = started.UnixNano()

// now returns the time in unix nanoseconds. It never goes backwards.
func now() int64 { return startedUnix + int64(time.Since(started)) }

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
