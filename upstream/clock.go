package upstream

import "time"

// epoch is what clock counts from: a little in the past, so that no instant is
// 0, which says "none" wherever an instant is kept.
var epoch = time.Now().Add(-time.Second)

// clock is the monotonic time in nanoseconds.
func clock() int64 { return int64(time.Since(epoch)) }

// at is the instant as package net wants it; 0 is no deadline.
func at(instant int64) time.Time {
	if instant == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(instant))
}

// after is the end of a limit that begins now; 0 is no limit.
func after(now int64, limit time.Duration) int64 {
	if limit <= 0 {
		return 0
	}
	return now + int64(limit)
}

// earliest is the first of two deadlines of which either may be none.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
