package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestParseStat(t *testing.T) {
	f := func(line string, pid, parent int, used time.Duration) {
		t.Helper()
		p, pp, u, err := parseStat([]byte(line))
		if err != nil || p != pid || pp != parent || u != used {
			t.Fatalf("%q: %d, %d, %v, %v", line, p, pp, u, err)
		}
	}
	f("12 (nginx) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 1 0 1 2 3", 12, 1, 3*time.Second)
	f("7 (a (b) c) R 3 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0", 7, 3, 10*time.Millisecond)

	for _, bad := range []string{"", "7 R 3", "7 (x) R 3 1", "x (x) R 3 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0"} {
		if _, _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// This process uses processor time, and has it counted with its children's.
func TestCPUOf(t *testing.T) {
	before, err := cpuOf(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
	}
	after, err := cpuOf(os.Getppid())
	if err != nil || after <= before {
		t.Fatalf("%v, then %v (%v)", before, after, err)
	}
	if _, err := cpuOf(1 << 30); err == nil {
		t.Fatal("a process that is not there was measured")
	}
}

func TestMedian(t *testing.T) {
	f := func(want float64, v ...float64) {
		t.Helper()
		if got := median(v); got != want {
			t.Fatalf("median of %v: %v; want %v", v, got, want)
		}
	}
	f(3, 3)
	f(2, 3, 1, 2)
	f(2.5, 4, 1, 2, 3)
}

// The driver counts what is answered, and fails on the first wrong answer: a
// server that fails quickly must not look cheap.
func TestDrive(t *testing.T) {
	const stream = "data: a\n\ndata: b\n\n"
	f := func(load string, rate float64, serve fasthttp.RequestHandler, wantErr string) figures {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &fasthttp.Server{Handler: serve}
		go s.Serve(ln)
		defer s.Shutdown()
		o := options{load: load, connections: 4, rate: rate, measured: 200 * time.Millisecond, warm: time.Millisecond, request: 500, answer: 10, events: 2}
		got, err := drive(context.Background(), o, &server{addr: ln.Addr().String(), key: "k", cmd: self(t)})
		if fmt.Sprint(err) != wantErr && (err == nil || wantErr == "<nil>" || !strings.Contains(err.Error(), wantErr)) {
			t.Fatalf("got %v; want %v", err, wantErr)
		}
		return got
	}
	answer := func(body string) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if len(ctx.PostBody()) != 500 {
				ctx.Error("not 500 bytes", 400)
				return
			}
			ctx.SetBodyString(body)
		}
	}

	if got := f("whole", 0, answer("12345678}}"), "<nil>"); got.Requests < 10 || got.P50 == 0 || got.units() != got.Requests {
		t.Fatalf("%+v", got)
	}
	if got := f("whole", 100, answer("12345678}}"), "<nil>"); got.Requests < 5 || got.Requests > 40 {
		t.Fatalf("%d requests in 0.2 s at 100 a second", got.Requests)
	}
	if got := f("stream", 0, answer(stream+"data: [DONE]\n\n"), "<nil>"); got.Events < 30 || got.units() != got.Events {
		t.Fatalf("%+v", got)
	}
	f("whole", 0, answer("short}}"), "7 bytes of answer; want 10")
	f("whole", 0, func(ctx *fasthttp.RequestCtx) { ctx.Error("no", 503) }, "status 503")
	f("stream", 0, answer(stream), "a stream of 2 events that ends with")
	f("stream", 0, answer("data: [DONE]\n\n"), "a stream of 1 events")
}

// self stands for a server that runs in this process.
func self(t *testing.T) *exec.Cmd {
	t.Helper()
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{Process: p}
}
