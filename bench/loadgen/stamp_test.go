package loadgen

import (
	"bytes"
	"strconv"
	"testing"
)

func TestStamps(t *testing.T) {
	f := func(line string, want int64) {
		t.Helper()
		if got := stamp([]byte(line)); got != want {
			t.Errorf("%s: %d; want %d", line, got, want)
		}
	}
	const now = 1_700_000_000_123_456_789
	f(`data: {"id":"x","sent_ns":1700000000123456789,"choices":[]}`, now)
	f(`data: {"sent_ns": 1700000000123456789}`, now)
	f(`data: {"choices":[{"delta":{"content":" word sent_ns=1700000000123456789"}}]}`, now)
	f(`: sent_ns 1700000000123456789`, now)
	f(`data: {"choices":[]}`, 0)
	f(`data: {"sent_ns":0}`, 0)
	f(`data: {"sent_ns":-1700000000123456789}`, 0)
	f(`data: {"sent_ns":"soon"}`, 0)
	f(`data: {"sent_ns":17000`, 0)
	f(`sent_ns`, 0)
	f(`sent_ns 9999999999999999999`, 0)
	f(`sent_ns 17000000001234567890`, 1_700_000_000_123_456_789) // more digits than there are nanoseconds
}

// FuzzStamp: whatever a server sends, a stamp is what its digits say, or none.
func FuzzStamp(f *testing.F) {
	f.Add([]byte(`data: {"sent_ns":1700000000123456789}`))
	f.Add([]byte(`sent_ns 9999999999999999999`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got := stamp(line)
		if got != 0 && !bytes.Contains(line, strconv.AppendInt(nil, got, 10)) || got < 0 {
			t.Fatalf("%q: %d", line, got)
		}
	})
}
