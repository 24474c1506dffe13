package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/internal/fakeprovider"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/tokens"
	"llmproxy/usage"
)

// breakable is a sink that panics on demand, with a secret.
type breakable struct {
	sink
	broken atomic.Bool
}

func (b *breakable) Record(r usage.Record) {
	if b.broken.Load() {
		panic("a panic that quotes " + promptCanary)
	}
	b.sink.Record(r)
}

// startBreakable is start with a sink that can break and a page that is broken.
func startBreakable(t *testing.T, set *config.Set) (*rig, *breakable) {
	t.Helper()
	registry, log, records := metrics.New(metrics.Options{Version: "test"}), &syncBuffer{}, &breakable{}
	r := &rig{t: t, source: &source{}, metrics: registry, log: log}
	r.source.set.Store(set)
	r.live = route.NewLive(&route.Builder{Metrics: registry, Buckets: ratelimit.NewBuckets()}, r.source, nil)
	if _, err := r.live.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	watcher, err := downstream.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	pool := tokens.NewPool(tokens.Options{Workers: 1})
	r.server = server.New(
		server.Options{MaxBodyBytes: 1 << 20, MaxHeaderBytes: 16 << 10, MaxAnswerBytes: 64 << 10, MaxEventBytes: 1 << 20, MaxAttempts: 3},
		server.Deps{
			Live: r.live, Metrics: registry, Tokens: pool, Sink: records, Watcher: watcher,
			Health: staticHealth{}, IsAdmin: func([]byte) bool { return false },
			Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	r.server.Router().GET("/broken", func(*fasthttp.RequestCtx) { panic("a panic that quotes " + clientKey) })
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address, r.url = inner.Addr().String(), "http://"+inner.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(downstream.NewListener(inner, downstream.Options{})) }()
	r.get("/health")
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		r.shutdown(100 * time.Millisecond)
		<-served
		pool.Close(context.Background())
		_ = watcher.Close()
		for _, p := range r.live.Table().Providers {
			p.Client.Close()
		}
		r.lookForCanaries()
	})
	return r, records
}

// A panic ends the request that it happened in, wherever on its journey, and
// nothing else: the client gets a typed error or a stream that is not
// complete, without a stack, and the process lives. S24.
func TestPanicsAreContained(t *testing.T) {
	p := fakeprovider.Start(t)
	r, records := startBreakable(t, serves(p))
	panics := 0.0
	contained := func(what string, got answer) {
		t.Helper()
		for _, leaked := range []string{"goroutine", ".go:", "panic", "canary"} {
			if bytes.Contains(got.body, []byte(leaked)) {
				t.Errorf("%s: the client is told of it: %s", what, got.body)
			}
		}
		panics++
		eventually(t, what+" is counted", func() bool { return r.metric("llm_proxy_panics_total") == panics })
		eventually(t, "nothing in flight after "+what, func() bool { return r.metric("llm_proxy_active_requests") == 0 })
		records.broken.Store(false)
		p.Handle(nil)
		for range 3 {
			if next := r.post(chat, hello); next.status != 200 {
				t.Errorf("after %s: %d %s", what, next.status, next.body)
			}
		}
		records.broken.Store(true)
	}
	typed := func(what string, got answer) {
		t.Helper()
		if got.status != 500 {
			t.Errorf("%s: %d", what, got.status)
		}
		got.code(t)
		contained(what, got)
	}
	typed("a page", r.get("/broken"))
	typed("a whole answer", r.post(chat, hello))
	p.Handle(always(fakeprovider.Events(chunk("a"), finish, usageOnly, doneMark)))
	contained("a stream", r.post(chat, helloSSE))
	p.Handle(always(fakeprovider.Events(chunk("a"), finish, usageOnly, doneMark)))
	old := r.dialRaw(t)
	old.say(strings.Replace(httpRequest(chat, helloSSE), "HTTP/1.1", "HTTP/1.0", 1))
	got, err := old.answer("POST")
	if err != nil {
		t.Error(err)
	}
	typed("a stream to HTTP/1.0", got)
	p.Handle(always(fakeprovider.OK(`{"data":["` + strings.Repeat("x", 100<<10) + `"],"usage":{"prompt_tokens":1,"total_tokens":1}}`)))
	contained("a long answer", r.post("/v1/embeddings", hello))
}
