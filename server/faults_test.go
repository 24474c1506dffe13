package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// outage is what a test of a provider's fault works with: a primary that has
// the fault, and a fallback of a lower priority that has none.
type outage struct {
	*rig
	primary, fallback *fakeprovider.Provider
}

// outageOf starts a gateway in front of the two; change may touch what they are
// configured with.
func outageOf(t *testing.T, bad func(*fakeprovider.Request) fakeprovider.Answer, change ...func(*config.Set)) outage {
	t.Helper()
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(a, b)
	for _, c := range change {
		c(set)
	}
	a.Handle(bad)
	return outage{start(t, set, impatient), a, b}
}

// impatient makes silence a fault soon, but not so soon that a busy machine
// makes one of an honest answer.
func impatient(_ *server.Options, b *route.Builder) {
	b.Client.Timeouts.FirstByte = 300 * time.Millisecond
	b.Client.Timeouts.Idle = 300 * time.Millisecond
}

func always(a fakeprovider.Answer) func(*fakeprovider.Request) fakeprovider.Answer {
	return func(*fakeprovider.Request) fakeprovider.Answer { return a }
}

// asked fails the test unless the two were asked so often.
func (o outage) asked(primary, fallback int) {
	o.t.Helper()
	if a, b := o.primary.Count(), o.fallback.Count(); a != primary || b != fallback {
		o.t.Errorf("the primary was asked %d times and the fallback %d, want %d and %d", a, b, primary, fallback)
	}
}

// heard is a stream as a strict SDK reads it.
type heard struct {
	text   string
	model  string // of the last chunk
	finish string
	done   bool   // [DONE] came, and nothing behind it
	failed string // the code of an error event
}

func (h heard) complete() bool { return h.finish != "" && h.done && h.failed == "" }

// listen reads a stream; it fails the test for an event that no SDK could read.
func listen(t *testing.T, stream []byte) (h heard) {
	t.Helper()
	for event := range strings.SplitSeq(strings.TrimSuffix(string(stream), "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		switch {
		case strings.HasPrefix(event, ":"):
			continue
		case !ok || h.done || h.failed != "":
			t.Errorf("no SDK expects %q here, in %s", event, stream)
			continue
		case data == "[DONE]":
			h.done = true
			continue
		}
		var chunk struct {
			Model   string
			Error   *struct{ Code string }
			Choices []struct {
				Delta  struct{ Content string }
				Finish string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Errorf("no SDK can read %q: %v", data, err)
		}
		if chunk.Error != nil {
			h.failed = chunk.Error.Code
		}
		if chunk.Model != "" {
			h.model = chunk.Model
		}
		for _, c := range chunk.Choices {
			h.text += c.Delta.Content
			h.finish += c.Finish
		}
	}
	return h
}

// The faults that providers have in practice, in the order of the public
// Failover Bench's catalogue where it names them, and what a client may see of
// each: nothing, or a clean error.
func TestProviderFaults(t *testing.T) {
	t.Run("asks to come back later", askedToWait)                    // R10
	t.Run("answers bursts of 500", burstsOf500)                      // R09
	t.Run("is overloaded", isOverloaded)                             //
	t.Run("refuses the connection", refusesTheConnection)            //
	t.Run("refuses the gateway's key", refusesTheKey)                //
	t.Run("sends its headers late", sendsHeadersLate)                // R12
	t.Run("sends its first event late", sendsFirstEventLate)         // R12
	t.Run("cuts the stream after it began", cutsTheStream)           // R04
	t.Run("stalls in the middle of a stream", stallsMidStream)       // R12
	t.Run("sends a malformed event", sendsMalformedEvent)            //
	t.Run("finishes without DONE", finishesWithoutDone)              //
	t.Run("says that the prompt is too long", promptIsTooLong)       // R11
	t.Run("refuses for its content policy", contentIsRefused)        // R11
	t.Run("ends a stream that is not finished", endsWithoutFinish)   // R05
	t.Run("comes back", comesBack)                                   // R07
	t.Run("is replaced by one with another model", isReplacedByName) //
}

func askedToWait(t *testing.T) {
	o := outageOf(t, nil)
	o.primary.Script(fakeprovider.Limited(400 * time.Millisecond))
	began := time.Now()
	got := o.post(chat, hello)
	if took := time.Since(began); got.status != 200 || took < 400*time.Millisecond {
		t.Errorf("%d after %v", got.status, took)
	}
	o.asked(2, 0)
}

func burstsOf500(t *testing.T) {
	o := outageOf(t, always(fakeprovider.Fail(500, "server_error", "boom")))
	for range 4 {
		if got := o.post(chat, hello); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if n := o.fallback.Count(); n != 4 {
		t.Errorf("the fallback answered %d of 4", n)
	}
	alone := outageOf(t, always(fakeprovider.Fail(500, "server_error", "boom")), func(s *config.Set) { s.Providers = s.Providers[:1] })
	if got := alone.post(chat, hello); got.status != 500 || got.code(t) != "server_error" {
		t.Errorf("alone: %d %s", got.status, got.body)
	}
	all := alone.primary.Requests()
	if len(all) < 2 || len(all) > 4 {
		t.Fatalf("alone: asked %d times", len(all))
	}
	if pause := all[1].Arrived.Sub(all[0].Arrived); pause < 40*time.Millisecond {
		t.Errorf("asked again after %v", pause)
	}
}

func isOverloaded(t *testing.T) {
	for _, status := range []int{502, 503, 504, 529} {
		o := outageOf(t, always(fakeprovider.Fail(status, "overloaded", "busy")))
		if got := o.post(chat, helloSSE); got.status != 200 || !listen(t, got.body).complete() {
			t.Errorf("%d: %d %s", status, got.status, got.body)
		}
		o.asked(1, 1)
	}
}

func refusesTheConnection(t *testing.T) {
	o := outageOf(t, nil, func(s *config.Set) { s.Providers[0].APIBase = "http://" + fakeprovider.Refusing(t) + "/v1" })
	if got := o.post(chat, hello); got.status != 200 || got.header.Get("X-Llm-Proxy-Provider") != "b" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func refusesTheKey(t *testing.T) {
	for _, status := range []int{401, 403} {
		o := outageOf(t, always(fakeprovider.Fail(status, "invalid_api_key", "who?")))
		if got := o.post(chat, hello); got.status != 200 {
			t.Errorf("%d: %d %s", status, got.status, got.body)
		}
		o.asked(1, 1)
		o.fallback.Handle(always(fakeprovider.Fail(status, "invalid_api_key", "who?")))
		if got := o.post(chat, hello); got.status != 502 || got.code(t) != "upstream_auth_failed" {
			t.Errorf("%d from both: a client would doubt its own key: %d %s", status, got.status, got.body)
		}
	}
}

func sendsHeadersLate(t *testing.T) {
	for _, body := range []string{hello, helloSSE} {
		o := outageOf(t, always(fakeprovider.Answer{Delay: time.Hour}))
		if got := o.post(chat, body); got.status != 200 || got.err != nil {
			t.Errorf("%d %s", got.status, got.body)
		}
		o.asked(1, 1)
	}
}

func sendsFirstEventLate(t *testing.T) {
	limit := int64(200)
	late := fakeprovider.Events(": thinking\n\n", chunk("late")).CutAfter(1, fakeprovider.Silent)
	o := outageOf(t, always(late), func(s *config.Set) { s.Providers[0].Params.FirstEventTimeoutMS = &limit })
	got := o.post(chat, helloSSE)
	if h := listen(t, got.body); !h.complete() || h.text != "Hello from the fake provider." {
		t.Errorf("%+v of %s", h, got.body)
	}
	o.asked(1, 1)
}

// recoveries runs a broken stream under each way to recover. The fallback says
// the same from its beginning; with splice and hold the client must hear all
// of it, without it must hear that the rest is missing.
func recoveries(t *testing.T, broken fakeprovider.Answer) {
	f := func(recovery, want string, fallback int) {
		t.Helper()
		o := outageOf(t, always(broken))
		o.fallback.Handle(always(whole("one ", "two ", "three")))
		got := o.post(chat, helloSSE, "X-Llm-Proxy-Recovery: "+recovery)
		h := listen(t, got.body)
		if got.status != 200 || got.err != nil || h.text != want || h.complete() != (want == "one two three") {
			t.Errorf("%s: %d %+v (%v) of %s", recovery, got.status, h, got.err, got.body)
		}
		if h.failed == "" == (fallback == 0) || h.failed != "" && h.failed != "upstream_stream_error" {
			t.Errorf("%s: the error event is %q", recovery, h.failed)
		}
		o.asked(1, fallback)
		if fallback == 0 {
			if rec := o.sink.wait(t, 1); rec.Outcome != usage.Truncated {
				t.Errorf("%s: recorded %+v", recovery, rec)
			}
		}
	}
	f("none", "one two ", 0)
	f("", "one two ", 0)
	f("splice", "one two three", 1)
	f("hold", "one two three", 1)
}

func cutsTheStream(t *testing.T) {
	for _, end := range []fakeprovider.End{fakeprovider.FIN, fakeprovider.RST} {
		recoveries(t, fakeprovider.Events(chunks("one ", "two ")...).CutAfter(3, end))
	}
	recoveries(t, fakeprovider.Events(chunks("one ", "two ", "three")...).CutInside(3, fakeprovider.FIN))
}

func stallsMidStream(t *testing.T) {
	recoveries(t, fakeprovider.Events(chunks("one ", "two ")...).CutAfter(3, fakeprovider.Silent))
}

func endsWithoutFinish(t *testing.T) {
	recoveries(t, fakeprovider.Events(chunks("one ", "two ")...))
}

func sendsMalformedEvent(t *testing.T) {
	o := outageOf(t, always(fakeprovider.Events(chunk("one "), "data: {\"choices\":[{\"delta\n\n", chunk("two"), finish, doneMark)))
	if h := listen(t, o.post(chat, helloSSE).body); !h.complete() || h.text != "one two" {
		t.Errorf("%+v", h)
	}
	o.asked(1, 0)
}

func finishesWithoutDone(t *testing.T) {
	for _, a := range []fakeprovider.Answer{
		fakeprovider.Events(chunk("one"), finish),
		fakeprovider.Events(chunk("one"), finish).CutAfter(2, fakeprovider.RST),
		fakeprovider.Events(chunk("one"), finish).CutAfter(2, fakeprovider.Silent),
	} {
		o := outageOf(t, always(a))
		if h := listen(t, o.post(chat, helloSSE).body); !h.complete() || h.text != "one" {
			t.Errorf("%+v", h)
		}
		o.asked(1, 0)
	}
}

func promptIsTooLong(t *testing.T) {
	tooLong := always(fakeprovider.Fail(400, "context_length_exceeded", "too long"))
	o := outageOf(t, tooLong)
	if got := o.post(chat, hello); got.status != 200 {
		t.Errorf("the larger model was not asked: %d %s", got.status, got.body)
	}
	o.asked(1, 1)
	o.fallback.Handle(tooLong)
	if got := o.post(chat, hello); got.status != 400 || got.code(t) != "context_length_exceeded" {
		t.Errorf("%d %s", got.status, got.body)
	}
	o.asked(2, 2)
}

func contentIsRefused(t *testing.T) {
	o := outageOf(t, always(fakeprovider.Fail(400, "content_policy_violation", "no")))
	for _, body := range []string{hello, helloSSE} {
		if got := o.post(chat, body); got.status != 400 || got.code(t) != "content_policy_violation" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	o.asked(2, 0)
}

// A provider that failed until it was given a rest is asked again soon after
// it works, and nobody notices either change.
func comesBack(t *testing.T) {
	o := outageOf(t, always(fakeprovider.Fail(503, "overloaded", "busy")))
	ask := func() (provider string) {
		t.Helper()
		got := o.post(chat, hello)
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return got.header.Get("X-Llm-Proxy-Provider")
	}
	for range 20 {
		ask()
	}
	if n := o.primary.Count(); n < 2 || n > 10 { // R06: ten requests at most reach a bad provider
		t.Errorf("%d of 20 requests reached the bad provider", n)
	}
	o.primary.Handle(nil)
	healed := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; ask() != "a"; <-tick.C {
		if time.Since(healed) > 30*time.Second {
			t.Fatal("30 s after it healed the primary is not asked")
		}
	}
	for range 5 {
		if ask() != "a" {
			t.Error("not back for good")
		}
	}
}

func isReplacedByName(t *testing.T) {
	o := outageOf(t, always(fakeprovider.Fail(503, "overloaded", "busy")), func(s *config.Set) {
		s.Providers[1].ModelMapping = map[string]string{"gpt-4": "fallback-model"}
	})
	o.fallback.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{Usage: &fakeprovider.Usage{Prompt: 21, Completion: 34, Cached: 5, Reasoning: 8}}.Answer(q)
	})
	var answered struct {
		Model string
		Usage struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
		}
	}
	got := o.post(chat, hello)
	if err := json.Unmarshal(got.body, &answered); err != nil || answered.Model != "fallback-model" || answered.Usage.Prompt != 21 || answered.Usage.Completion != 34 {
		t.Errorf("the client sees %s (%v)", got.body, err)
	}
	if h := listen(t, o.post(chat, helloSSE).body); h.model != "fallback-model" || !h.complete() {
		t.Errorf("the client of a stream sees %+v", h)
	}
	for i := range 2 {
		rec := o.sink.wait(t, i+1)
		if rec.Provider != "b" || rec.UpstreamModel != "fallback-model" || rec.Model != "gpt-4" || rec.Source != usage.Upstream ||
			rec.Prompt != 21 || rec.Completion != 34 || rec.Cached != 5 || rec.Reasoning != 8 {
			t.Errorf("recorded %+v", rec)
		}
	}
	if n := o.metric("llm_proxy_tokens_total", `provider="b"`, `token_type="completion"`); n != 68 {
		t.Errorf("completion tokens counted: %v", n)
	}
}
