package loadgen

import "bytes"

// StampName is what an event calls the moment at which it was sent, in
// nanoseconds since 1970. A provider of load tests puts it into each of its
// events, as a field of the JSON ("sent_ns":1700000000000000000) or, for
// gateways that drop fields that they do not know, into the text
// (sent_ns=1700000000000000000). It compares with the clock of the same
// machine, and with no other.
const StampName = "sent_ns"

// leastDigits a stamp has: fewer are of 1970, or no nanoseconds.
const leastDigits = 16

// stamp returns when a line says that it was sent; 0 if it does not.
func stamp(line []byte) (nanoseconds int64) {
	i := bytes.Index(line, []byte(StampName))
	if i < 0 {
		return 0
	}
	rest := bytes.TrimLeft(line[i+len(StampName):], `\":= `)
	digits := 0
	for ; digits < len(rest) && digits < 19 && '0' <= rest[digits] && rest[digits] <= '9'; digits++ {
		nanoseconds = nanoseconds*10 + int64(rest[digits]-'0')
	}
	if digits < leastDigits || nanoseconds < 0 {
		return 0
	}
	return nanoseconds
}
