package server_test

import (
	"net/http"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// When all providers have as many requests as they take, the next one waits
// for a place, a few do at once, and who leaves meanwhile is gone.
func TestWaitForRoom(t *testing.T) {
	p := fakeprovider.Start(t)
	hold := holding(p)
	set := serves(p)
	one := int64(1)
	set.Providers[0].Params.MaxConcurrency = &one
	r := start(t, set, func(o *server.Options, _ *route.Builder) { o.MaxWaiting, o.WaitTimeout = 2, 30*time.Second })
	answers := make(chan answer, 2)
	ask := func() { answers <- r.post(chat, hello) }
	waiting := func(n float64) {
		eventually(t, "they wait", func() bool { return r.metric("llm_proxy_active_requests") == n })
	}

	go ask()
	if p.Next(t) == nil {
		t.Fatal("the first is nowhere")
	}
	go ask()
	waiting(2)
	leaver := r.dial(chat, hello)
	waiting(3)
	eventually(t, "both wait", func() bool { return r.server.Waiting() == 2 })
	if got := r.post(chat, hello); got.status != http.StatusServiceUnavailable || got.code(t) != "overloaded" {
		t.Errorf("one too many: %d %s", got.status, got.body)
	}
	leave(leaver, true)
	eventually(t, "who left is counted", func() bool {
		return r.metric("llm_proxy_upstream_cancelled_total", `phase="queue"`) == 1
	})
	if p.Count() != 1 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
	close(hold)
	for range 2 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	r.sink.wait(t, 4)
	gone := 0
	for _, rec := range r.sink.all() {
		if rec.Outcome == usage.Cancelled {
			gone++
		}
	}
	if gone != 1 || r.server.Waiting() != 0 {
		t.Errorf("%d of %d records are of clients that left; %d wait still", gone, r.sink.len(), r.server.Waiting())
	}
}

// Who has waited in vain is told.
func TestWaitForRoomInVain(t *testing.T) {
	p := fakeprovider.Start(t)
	defer close(holding(p))
	set := serves(p)
	one := int64(1)
	set.Providers[0].Params.MaxConcurrency = &one
	r := start(t, set, func(o *server.Options, _ *route.Builder) { o.MaxWaiting, o.WaitTimeout = 8, 20*time.Millisecond })
	c := r.dial(chat, hello)
	defer c.Close()
	if p.Next(t) == nil {
		t.Fatal("the first is nowhere")
	}
	got := r.post(chat, hello)
	if got.status != http.StatusServiceUnavailable || got.code(t) != "overloaded" || got.header.Get("Retry-After") == "" || got.header.Get("X-Llm-Proxy-Attempts") != "" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if n := r.metric("llm_proxy_overhead_seconds_count", `phase="queue"`); n != 1 {
		t.Errorf("%v waits are counted", n)
	}
	if n := r.metric("llm_proxy_overload_rejected_total", `reason="providers_full"`); n != 1 {
		t.Errorf("%v refusals are counted", n)
	}
}
