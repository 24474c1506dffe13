package overload

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestPaceKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{MaxQueued: 3, QueueTimeout: time.Second})
		l.pace.rate.Store(100) // one in 10 ms, and one that comes early
		f := func(want string, all ...*visitor) {
			t.Helper()
			if got := verdicts(all...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		a, b, c, d, e, g := visit(l), visit(l), visit(l), visit(l), visit(l), visit(l)
		f("[admitted admitted waits waits waits busy]", a, b, c, d, e, g)
		if got, want := l.Stats(), (Stats{InFlight: 2, Queued: 3, Rate: 100}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		time.Sleep(10 * time.Millisecond)
		f("[admitted waits waits]", c, d, e)
		close(d.gone)
		time.Sleep(15 * time.Millisecond)
		f("[gone waits]", d, e) // nobody moves up
		h := visit(l)
		time.Sleep(5 * time.Millisecond)
		f("[gone admitted admitted]", d, e, h) // with the time that was given back
		if v := <-e.done; v.Waited != 30*time.Millisecond {
			t.Errorf("the last one: %+v", v)
		}
		if v := <-g.done; v.RetryAfter < time.Second || v.RetryAfter >= 3*time.Second {
			t.Errorf("who was refused: %+v", v)
		}
		l.pace.rate.Store(0)
		for range 100 {
			if v := l.Enter(time.Now().UnixNano(), nil); v != (Verdict{}) {
				t.Fatalf("without a limit: %+v", v)
			}
		}
	})
}

// Nobody waits for longer than the timeout, or behind more than may wait; and
// any stretch of time lets in what the rate is worth, and the slack.
func TestBooking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pace
		p.init(rapid.Int64Range(0, 500).Draw(t, "most"), time.Duration(rapid.Int64Range(0, 1000).Draw(t, "timeout"))*time.Millisecond)
		rate := rapid.Int64Range(1, 1e6).Draw(t, "rate")
		step := int64(time.Second) / rate
		now := rapid.Int64Range(0, 1<<60).Draw(t, "now")
		began, last := now, int64(0)
		count := int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now += rapid.Int64Range(0, 3*step).Draw(t, "pause")
			wait, ok := p.book(now, step)
			if !ok {
				continue
			}
			if wait < 0 || wait > p.timeout || int64(wait) > p.most*step {
				t.Fatalf("waits %v", wait)
			}
			at := now + int64(wait)
			if at < last {
				t.Fatalf("passes somebody by %v", time.Duration(last-at))
			}
			last = at
			count++
			if most := (at-began+slack)/step + 1; count > most {
				t.Fatalf("%d in %v, want %d at most", count, time.Duration(at-began), most)
			}
		}
	})
}
