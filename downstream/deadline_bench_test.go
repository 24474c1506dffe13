package downstream

import (
	"testing"
	"time"
)

func BenchmarkDeadline(b *testing.B) {
	_, c, _ := pair(b, Options{})
	var last time.Time
	b.Run("put off", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			last = time.Now().Add(time.Minute)
			if err := c.SetReadDeadline(last); err != nil {
				b.Fatal(err)
			}
		}
		if !c.readLimit.wanted.Equal(last) || c.readLimit.set.IsZero() || c.readLimit.set.After(last) {
			b.Fatalf("%+v is set, the last was %v", c.readLimit.set, last)
		}
	})
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.tcp.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
