//go:build !race

package server

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/logging"
	"llmproxy/usage"
)

// logTo has the server's requests logged as the program logs them.
func logTo(s *Server, w io.Writer, level slog.Level, share float64, slow time.Duration) *logging.Log {
	l := logging.Open(w, logging.Options{Level: level, JSON: true, Lines: 4096})
	s.journal = newJournal(l.Logger, Options{MaxLogLines: 20, LogShare: share, SlowRequest: slow}, s.metrics)
	return l
}

// A request that gets no line allocates nothing for that, though others do.
func TestNoAllocationForALineThatIsNotWritten(t *testing.T) {
	s, e := newTestServer(t)
	l := logTo(s, io.Discard, slog.LevelInfo, 1e-12, time.Hour)
	defer l.Close()
	r := newReplayed(chatOf("hello"))
	allocs := testing.AllocsPerRun(1000, func() {
		x := r.toPick(t, s, e)
		x.held.Settle(config.Tokens{}, 0, false, now())
		x.admitted = false // so that there is no record, which has strings
		s.settle(x, ending{outcome: usage.Refused})
		s.release(x)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a request", allocs)
	}
}

// countedLines counts what is written.
type countedLines struct{ n int }

func (c *countedLines) Write(p []byte) (int, error) {
	c.n++
	return len(p), nil
}

// BenchmarkRequestLine is what the log costs a request when it ends, line
// included: BenchmarkAdmitAndSettle is all the rest. The lines are written by
// the goroutine beside it, to a writer that takes them at once.
func BenchmarkRequestLine(b *testing.B) {
	f := func(name string, level slog.Level, share, least, most float64) {
		b.Run(name, func(b *testing.B) {
			s, e := newTestServer(b)
			w := &countedLines{}
			l := logTo(s, w, level, share, time.Hour)
			lost := 0
			l.OnLost(func() { lost++ }) // called by this goroutine only: the writer takes all
			r := newReplayed(chatOf("hello"))
			x := r.toPick(b, s, e)
			answered(x)
			x.upID, x.headIn, x.admitIn = append(x.upID, "req_0123456789abcdef"...), time.Second, time.Millisecond
			end := ending{outcome: usage.Complete}
			b.ReportAllocs()
			for b.Loop() {
				s.journal.request(x, end, time.Second)
			}
			l.Close()
			s.settle(x, end)
			if got := float64(w.n+lost) / float64(b.N); got < least || got > most {
				b.Errorf("%v lines a request", got)
			}
			b.ReportMetric(float64(lost)/float64(b.N), "lost/op")
		})
	}
	f("none", slog.LevelInfo, 0, 0, 0)
	f("share=0.01", slog.LevelInfo, 0.01, 0, 1)
	f("all", slog.LevelInfo, 1, 1, 2) // lines that tell of lost ones come on top
	f("debug", slog.LevelDebug, 0, 1, 2)
}
