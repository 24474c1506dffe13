package main

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/bench/testbed"
)

func TestPercentile(t *testing.T) {
	f := func(want time.Duration, p int, times ...time.Duration) {
		t.Helper()
		if got := percentile(times, p); got != want {
			t.Errorf("%d of %v: %v, want %v", p, times, got, want)
		}
	}
	f(0, 99)
	f(7, 99, 7)
	f(2, 50, 3, 1, 2)
	f(3, 100, 3, 1, 2)
	f(1, 0, 3, 1, 2)
}

// A second's figures are what was due, and what was answered, in it; the last
// second is not whole and does not count, nor do those of the warm-up.
func TestFigures(t *testing.T) {
	s := newStep(false)
	at := func(ms int) time.Time { return s.began.Add(time.Duration(ms) * time.Millisecond) }
	for _, due := range []int{100, 900, 1100, 1200, 1300, 2100} {
		s.sent(at(due), at(due+3), true)
	}
	s.sent(at(1400), at(1400), false)
	s.answered(true, at(100), at(150))
	s.answered(true, at(900), at(1100))  // took 200 ms, counts where it was answered
	s.answered(true, at(1100), at(1150)) // 50 ms
	s.answered(false, at(1200), at(1210))
	s.note(at(1500), 1000)
	s.note(at(1600), 500)
	s.note(at(2100), 5000)
	f := s.figures(2, time.Second)
	if f.Offered != 4 || f.Goodput != 2 || f.Refused != 1 || f.Unsent != 1 || f.RSS != 1000 ||
		f.Worst != 200*time.Millisecond || f.RefusalP99 != 10*time.Millisecond || f.LateP99 != 3*time.Millisecond {
		t.Errorf("%+v", f)
	}
}

// An open loop does not wait for answers: what is offered is offered however
// long they take, and refusals are told from good answers and from wrong ones.
func TestOffer(t *testing.T) {
	f := func(serve fasthttp.RequestHandler, wantErr string, check func(figures)) {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &fasthttp.Server{Handler: serve, Concurrency: 1000}
		go s.Serve(ln)
		defer s.Shutdown()
		server, err := testbed.Self(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		o := options{answer: 10, request: 500, connections: 300}
		l := newLoad(server, o)
		defer l.close()
		step, err := l.offer(context.Background(), 1, 400, 1200*time.Millisecond, &report{o: o})
		if err == nil {
			err = l.settle(context.Background())
		}
		switch {
		case wantErr != "":
			if err == nil || !strings.Contains(err.Error(), wantErr) {
				t.Errorf("got %v; want %v", err, wantErr)
			}
		case err != nil:
			t.Error(err)
		default:
			step.sent(step.began.Add(5*time.Second), step.began.Add(5*time.Second), true) // the last second does not count
			check(step.figures(1, 0))
		}
	}
	var asked atomic.Int64
	slow := func(ctx *fasthttp.RequestCtx) {
		time.Sleep(300 * time.Millisecond)
		ctx.SetBodyString("12345678}}")
	}
	refuse := func(ctx *fasthttp.RequestCtx) {
		if asked.Add(1)%2 == 0 {
			ctx.SetBodyString("12345678}}")
			return
		}
		ctx.Error(`{"error":{"code":"overloaded"}}`, 503)
		ctx.Response.Header.Set("Retry-After", "1")
	}
	f(slow, "", func(got figures) {
		if sent := got.Offered * 5; sent < 350 || sent > 650 || got.P50 < 300*time.Millisecond || got.Goodput*5 < 300 {
			t.Errorf("%+v", got)
		}
	})
	f(refuse, "", func(got figures) {
		if got.Refused*5 < 150 || got.Goodput*5 < 150 {
			t.Errorf("%+v", got)
		}
	})
	f(func(ctx *fasthttp.RequestCtx) { ctx.Error(`{"error":{"code":"overloaded"}}`, 503) }, "a refusal of another kind", nil)
	f(func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("short}}") }, "7 bytes of answer; want 10", nil)
	f(func(ctx *fasthttp.RequestCtx) { ctx.Error("no", 500) }, "status 500", nil)
}

func TestFactors(t *testing.T) {
	f := func(list string, ok bool) {
		t.Helper()
		var o options
		if err := o.readFactors(list); (err == nil) != ok {
			t.Errorf("%q: %v", list, err)
		}
	}
	f("0.5,1,3", true)
	f("0", false)
	f("1,,2", false)
	f("x", false)
	f("1000", false)
}
