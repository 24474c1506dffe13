//go:build !race

package server

import (
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/usage"
)

// BenchmarkAcceptToPick is the gateway's work before a request is sent: from
// its head to the choice of a provider, with limits of every kind.
func BenchmarkAcceptToPick(b *testing.B) {
	s, e := newTestServer(b)
	r := newReplayed(chatOf("hello"))
	b.ReportAllocs()
	for b.Loop() {
		x := r.toPick(b, s, e)
		x.held.Settle(config.Tokens{}, 0, false, now())
		x.admitted = false
		s.settle(x, ending{outcome: usage.Refused})
		s.release(x)
	}
	if n := e.active.Load(); n != 0 {
		b.Errorf("%d requests are still active", n)
	}
}

// counted counts the records, and what they cost.
type counted struct{ records, cost int64 }

func (c *counted) Record(r usage.Record) {
	c.records++
	c.cost += r.CostMicroUSD
}

// BenchmarkAdmitAndSettle is all that a request costs the gateway beside the
// sockets: as BenchmarkAcceptToPick, and its settlement: metrics, bill, record.
func BenchmarkAdmitAndSettle(b *testing.B) {
	s, e := newTestServer(b)
	sink := &counted{}
	s.sink = sink
	r := newReplayed(chatOf("hello"))
	asked := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		x := r.toPick(b, s, e)
		answered(x)
		s.settle(x, ending{outcome: usage.Complete})
		s.release(x)
		asked++
	}
	const each = 12 + 34*4 // millionths of a dollar
	if sink.records != asked || sink.cost != asked*each {
		b.Errorf("%d records of %d requests, at %d", sink.records, asked, sink.cost)
	}
}

// BenchmarkProxied is a request on real sockets, with everything on. Its time
// is the client's and the provider's, too, which are in this process; bench/gateway
// measures the gateway's own.
func BenchmarkProxied(b *testing.B) {
	f := func(name, request, answer string) {
		b.Run(name, func(b *testing.B) {
			p := newProxied(b, answer, nowhere{}, time.Second)
			c := p.dial(b, request)
			c.ask(b)
			b.ReportAllocs()
			for b.Loop() {
				c.ask(b)
			}
		})
	}
	f("whole", wholeRequest, wholeAnswer(1024))
	f("prompt=64KB", promptOf(64<<10), wholeAnswer(1024))
	f("stream=100", streamRequest, streamAnswer(100))
}
