package overload

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// visitor is a request in a test: it enters on a goroutine of its own.
type visitor struct {
	gone chan struct{}
	done chan Verdict
}

func visit(l *Limiter) *visitor {
	v := &visitor{gone: make(chan struct{}, 1), done: make(chan Verdict, 1)}
	go func() { v.done <- l.Enter(time.Now().UnixNano(), v.gone) }()
	synctest.Wait()
	return v
}

// verdict returns what became of the visitor, "waits" as long as it does.
func (v *visitor) verdict() string {
	select {
	case verdict := <-v.done:
		v.done <- verdict
		return verdict.Reason.String()
	default:
		return "waits"
	}
}

func verdicts(all ...*visitor) string {
	synctest.Wait()
	var s []string
	for _, v := range all {
		s = append(s, v.verdict())
	}
	return fmt.Sprint(s)
}

func TestSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{MaxConcurrent: 1, MaxQueued: 3, QueueTimeout: 200 * time.Millisecond})
		f := func(want string, all ...*visitor) {
			t.Helper()
			if got := verdicts(all...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		a, b, c, d, e := visit(l), visit(l), visit(l), visit(l), visit(l)
		f("[admitted waits waits waits full]", a, b, c, d, e)
		if got, want := l.Stats(), (Stats{InFlight: 1, Queued: 3}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		c.gone <- struct{}{}
		f("[admitted waits gone waits full]", a, b, c, d, e)
		time.Sleep(150 * time.Millisecond)
		l.Leave()
		f("[admitted admitted gone waits full]", a, b, c, d, e)
		g := visit(l)
		time.Sleep(50 * time.Millisecond)
		f("[full waits]", d, g)
		l.Leave()
		f("[admitted]", g)
		l.Leave()
		if got := l.Stats(); got != (Stats{}) {
			t.Errorf("at the end: %+v", got)
		}

		if v := <-b.done; v.Waited != 150*time.Millisecond || v.RetryAfter != 0 {
			t.Errorf("who waited and got in: %+v", v)
		}
		if v := <-c.done; v.RetryAfter != 0 {
			t.Errorf("who left is told when to come back: %+v", v)
		}
		if v := <-d.done; v.Waited != 200*time.Millisecond || v.RetryAfter < time.Second || v.RetryAfter >= 3*time.Second {
			t.Errorf("who waited in vain: %+v", v)
		}
		if v := <-e.done; v.Waited != 0 || v.RetryAfter < time.Second || v.RetryAfter >= 3*time.Second {
			t.Errorf("who found no place to wait: %+v", v)
		}
	})
}

func TestNobodyWaitsWithoutAQueue(t *testing.T) {
	for _, o := range []Options{
		{MaxConcurrent: 1},
		{MaxConcurrent: 1, MaxQueued: 5},
		{MaxConcurrent: 1, QueueTimeout: time.Second},
	} {
		l := New(o)
		if v := l.Enter(0, nil); !v.OK() {
			t.Errorf("%+v: the first: %+v", o, v)
		}
		if v := l.Enter(0, nil); v.Reason != Full || v.Waited != 0 {
			t.Errorf("%+v: the second: %+v", o, v)
		}
	}
}

func TestWithoutLimits(t *testing.T) {
	for _, l := range []*Limiter{nil, New(Options{}), New(Options{MaxQueued: 1, QueueTimeout: time.Second})} {
		for range 1000 {
			if v := l.Enter(0, nil); v != (Verdict{}) {
				t.Fatalf("%+v", v)
			}
		}
		for range 1000 {
			l.Leave()
		}
		l.Close()
		l.Close()
	}
}

func TestLeavingTwiceIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New(Options{}).Leave()
}

// plan is what the seats should do, in one goroutine and with lists.
type plan struct {
	seats, room int
	in          int
	waiting     []int // visitors by number, in order
	deadline    map[int]time.Time
	said        []string // what is expected of each visitor
}

func (p *plan) enter(deadline time.Time) {
	n := len(p.said)
	switch {
	case p.in < p.seats:
		p.in++
		p.said = append(p.said, "admitted")
	case len(p.waiting) < p.room:
		p.waiting = append(p.waiting, n)
		p.deadline[n] = deadline
		p.said = append(p.said, "waits")
	default:
		p.said = append(p.said, "full")
	}
}

func (p *plan) end(n int, how string) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w int) bool { return w == n })
	p.said[n] = how
}

func (p *plan) leave() {
	p.in--
	if len(p.waiting) > 0 {
		p.in++
		p.end(p.waiting[0], "admitted")
	}
}

func (p *plan) expire(now time.Time) {
	for _, n := range slices.Clone(p.waiting) {
		if !now.Before(p.deadline[n]) {
			p.end(n, "full")
		}
	}
}

// Whatever happens in whatever order, the seats do what the plan says: no seat
// is lost, none is given twice, nobody is passed over.
func TestSeatsDoWhatIsPlanned(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seats, room := rapid.IntRange(1, 4).Draw(r, "seats"), rapid.IntRange(0, 4).Draw(r, "room")
		steps := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 60).Draw(r, "steps")
		var fault string
		synctest.Test(t, func(*testing.T) { fault = follow(seats, room, steps) })
		if fault != "" {
			r.Fatal(fault)
		}
	})
}

// follow takes the steps with seats and plan, and says where they differ.
func follow(seats, room int, steps []int) string {
	const patience = 50 * time.Millisecond
	l := New(Options{MaxConcurrent: int64(seats), MaxQueued: int64(room), QueueTimeout: patience})
	p := &plan{seats: seats, room: room, deadline: map[int]time.Time{}}
	var visitors []*visitor
	for i, step := range steps {
		switch {
		case step < 50:
			visitors = append(visitors, visit(l))
			p.enter(time.Now().Add(patience))
		case step < 70 && p.in > 0:
			l.Leave()
			p.leave()
		case step < 80 && len(p.waiting) > 0:
			n := p.waiting[step%len(p.waiting)]
			close(visitors[n].gone)
			p.end(n, "gone")
		default:
			time.Sleep(time.Duration(step-60) * time.Millisecond)
			p.expire(time.Now())
		}
		if got, want := verdicts(visitors...), fmt.Sprint(p.said); got != want {
			return fmt.Sprintf("step %d (%d):\ngot  %s\nwant %s", i, step, got, want)
		}
		if got, want := l.Stats(), (Stats{InFlight: int64(p.in), Queued: int64(len(p.waiting))}); got != want {
			return fmt.Sprintf("step %d (%d): got %+v, want %+v", i, step, got, want)
		}
	}
	for p.in > 0 {
		l.Leave()
		p.leave()
	}
	synctest.Wait()
	if n := l.seats.taken.Load(); n != 0 || len(l.seats.free) != 0 {
		return fmt.Sprintf("when all have left, %d seats are taken and %d tokens are left", n, len(l.seats.free))
	}
	return ""
}
