package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/bench/testbed"
)

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
		got, err := drive(context.Background(), o, self(t, ln.Addr().String()))
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
func self(t *testing.T, addr string) *testbed.Server {
	t.Helper()
	s, err := testbed.Self(addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The picture is well-formed XML, has a bar for each server, and the cheapest is on top.
func TestPicture(t *testing.T) {
	r := newReport(options{load: "whole", rounds: 3}, []*testbed.Server{{Name: "llm-proxy"}, {Name: "nginx"}})
	r.Cost["llm-proxy"], r.Cost["nginx"], r.Load = 30, 20, "a < b"
	file := filepath.Join(t.TempDir(), "cost.svg")
	if err := r.draw(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		Texts []string   `xml:"text"`
		Bars  []struct{} `xml:"rect"`
	}
	if err := xml.Unmarshal(text, &svg); err != nil {
		t.Fatal(err)
	}
	if len(svg.Bars) != 3 || !slices.Contains(svg.Texts, "30.0") ||
		slices.Index(svg.Texts, "nginx") > slices.Index(svg.Texts, "llm-proxy") {
		t.Errorf("%s", text)
	}
}
