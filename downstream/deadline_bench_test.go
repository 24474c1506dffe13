package downstream

import (
	"testing"
	"time"
)

func BenchmarkDeadline(b *testing.B) {
	_, c, _ := pair(b, Options{})
	b.Run("put off", func(b *testing.B) {
		for b.Loop() {
			c.SetReadDeadline(time.Now().Add(time.Minute))
		}
	})
	b.Run("set", func(b *testing.B) {
		for b.Loop() {
			c.tcp.SetReadDeadline(time.Now().Add(time.Minute))
		}
	})
}
