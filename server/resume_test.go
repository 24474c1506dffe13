package server_test

import (
	"strings"
	"testing"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// A replay that says something new and fails in the same breath has told the
// client nothing: the next one is compared with what the client did hear. It was
// once compared with both, and the client missed a piece in the middle.
func TestFailedReplayLeavesNoHole(t *testing.T) {
	a, b, c := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b, c), quick)
	a.Handle(always(fakeprovider.Events(chunks("one ", "two ")...).CutAfter(3, fakeprovider.RST)))
	atOnce := strings.Join(append(chunks("one two ", "three "), fakeprovider.Data(`{"error":{"message":"overloaded"}}`)), "")
	b.Handle(always(fakeprovider.Events(atOnce)))
	c.Handle(always(whole("one two three four")))
	h := listen(t, r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body)
	if h.text != "one two three four" || !h.complete() {
		t.Errorf("the client hears %+v", h)
	}
	if rec := r.sink.wait(t, 1); rec.Provider != "c" || rec.Attempts != 3 || rec.TTFT == 0 {
		t.Errorf("recorded %+v", rec)
	}
}

// A replay that fails is one attempt. It counted twice, and the third provider was
// not asked.
func TestFailedReplayIsOneAttempt(t *testing.T) {
	a, b, c := fakeprovider.Start(t), fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b, c), quick)
	a.Handle(always(cutting()))
	b.Handle(always(fakeprovider.Fail(503, "overloaded", "busy")))
	c.Handle(always(whole("one ", "two ", "three")))
	if h := listen(t, r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body); !h.complete() {
		t.Errorf("the client hears %+v", h)
	}
	c.Handle(always(fakeprovider.Fail(503, "overloaded", "busy")))
	before := c.Count()
	r2 := start(t, serves(a, b, c), quick, func(o *server.Options, _ *route.Builder) { o.MaxAttempts = 2 })
	if h := listen(t, r2.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body); h.failed == "" || c.Count() != before {
		t.Errorf("at most two attempts, and the third provider was asked: %+v", h)
	}
}

// When every attempt fails, none is billed, the last one neither: what it said of
// its usage was part of no answer.
func TestLastFailedAttemptBillsNothing(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), quick)
	p.Handle(always(fakeprovider.Events(append(chunks("many "), usageOnly, fakeprovider.Data(`{"error":{"message":"x"}}`))...)))
	got := r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: hold")
	if got.status != 502 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if rec := r.sink.wait(t, 1); rec.Source != usage.None || rec.Completion != 0 || rec.Outcome != usage.Failed {
		t.Errorf("recorded %+v", rec)
	}
}
