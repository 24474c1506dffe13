package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

// small are limits that a test can meet.
func small(o *server.Options, _ *route.Builder) {
	o.MaxBodyBytes, o.MaxHeaderBytes, o.MaxHeaderLines = 4<<10, 4<<10, 20
	o.MaxAnswerBytes, o.MaxEventBytes, o.MaxErrorBytes = 2000, 2000, 1000
	o.MaxTextBytes, o.MaxListBytes, o.MaxLogLines = 100, 1000, 2
}

// Every bound is a setting, and what meets it is counted under the setting's name:
// once for each request or answer that does, and not below it.
func TestLimitsAreCounted(t *testing.T) {
	f := func(limit string, below, above func(*rig, *fakeprovider.Provider)) {
		t.Run(limit, func(t *testing.T) {
			p := fakeprovider.Start(t)
			set := serves(p)
			set.Providers[0].ModelMapping = nil // so that it is asked for its models
			r := start(t, set, small)
			met := func() float64 { return r.metric("llm_proxy_limit_hits_total", `limit="`+limit+`"`) }
			if below(r, p); met() != 0 {
				t.Errorf("below it: counted %v times", met())
			}
			if above(r, p); met() != 1 {
				t.Errorf("above it: counted %v times", met())
			}
		})
	}
	status := func(want int, header ...string) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, _ *fakeprovider.Provider) {
			r.t.Helper()
			if got := r.post(chat, hello, header...); got.status != want {
				r.t.Errorf("%d, want %d", got.status, want)
			}
		}
	}
	lines := func(n int) (header []string) {
		for i := range n {
			header = append(header, fmt.Sprintf("X-Line-%d: x", i))
		}
		return header
	}
	f("max_header_lines", status(200, lines(10)...), status(431, lines(20)...))
	f("max_header_bytes", status(200, "X-Long: "+strings.Repeat("x", 2000)), status(431, "X-Long: "+strings.Repeat("x", 5000)))

	body := func(size, want int) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, _ *fakeprovider.Provider) {
			got := r.post(chat, `{"model":"gpt-4","messages":[],"x":"`+strings.Repeat("x", size)+`"}`)
			if got.status != want {
				r.t.Errorf("%d, want %d", got.status, want)
			}
		}
	}
	f("max_body_bytes", body(2000, 200), body(5000, 413))

	// A long answer streams through, whole.
	long := func(size int) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, p *fakeprovider.Provider) {
			want := `{"choices":[],"x":"` + strings.Repeat("x", size) + `"}`
			p.Script(fakeprovider.OK(want))
			if got := r.post(chat, hello); got.status != 200 || string(got.body) != want {
				r.t.Errorf("%d with %d bytes, want %d", got.status, len(got.body), len(want))
			}
		}
	}
	f("max_answer_bytes", long(1000), long(3000))

	// A long event ends the stream with an error.
	event := func(size int, whole bool) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, p *fakeprovider.Provider) {
			p.Script(fakeprovider.Events(chunk("x"), chunk(strings.Repeat("x", size)), finish, doneMark))
			if h := listen(r.t, r.post(chat, helloSSE).body); h.complete() != whole {
				r.t.Errorf("an event of %d bytes: complete is %v", size, h.complete())
			}
		}
	}
	f("max_event_bytes", event(1000, true), event(9000, false))

	// A long error answer is cut.
	failure := func(size, most int) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, p *fakeprovider.Provider) {
			p.Script(fakeprovider.Status(422, strings.Repeat("x", size)))
			if got := r.post(chat, hello); got.status != 422 || len(got.body) != min(size, most) {
				r.t.Errorf("%d with %d bytes of %d", got.status, len(got.body), size)
			}
		}
	}
	f("max_error_bytes", failure(900, 1000), failure(1100, 1000))

	// The models of a provider with a long list are not listed.
	list := func(size int, listed bool) func(*rig, *fakeprovider.Provider) {
		return func(r *rig, p *fakeprovider.Provider) {
			if !listed { // another address is asked anew
				set := *r.source.set.Load()
				set.Providers = []config.Provider{provider(2, "b", p.URL())}
				set.Providers[0].ModelMapping = nil
				r.source.set.Store(&set)
				if _, err := r.live.Reload(r.t.Context()); err != nil {
					r.t.Fatal(err)
				}
			}
			p.Script(fakeprovider.OK(`{"data":[{"id":"listed"}],"x":"` + strings.Repeat("x", size) + `"}`))
			if got := string(r.get("/v1/models").body); strings.Contains(got, "listed") != listed {
				r.t.Errorf("a list of %d bytes: %s", size, got)
			}
		}
	}
	f("max_model_list_bytes", list(500, true), list(1500, false))
}

// A text that is too long to be kept is counted as far as it is, the rest is
// estimated, and the record says so. It was once counted as if it ended there.
func TestLongTextIsEstimated(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), small)
	say := func(words int) usage.Record {
		p.Script(fakeprovider.Events(append(chunks(strings.SplitAfter(strings.Repeat("word ", words), " ")...), finish, doneMark)...))
		before := r.sink.len()
		r.post(chat, helloSSE)
		return r.sink.wait(t, before+1)
	}
	met := func() float64 { return r.metric("llm_proxy_limit_hits_total", `limit="max_counted_text_bytes"`) }
	if rec := say(15); rec.Source != usage.Counted || rec.Completion < 14 || met() != 0 {
		t.Errorf("15 words: %d tokens, %v; counted %v times", rec.Completion, rec.Source, met())
	}
	if rec := say(400); rec.Source != usage.Estimated || rec.Completion < 350 || rec.Completion > 600 || met() != 1 {
		t.Errorf("400 words: %d tokens, %v; counted %v times", rec.Completion, rec.Source, met())
	}
}

// A stream whose text was not kept whole cannot be compared with a replay.
func TestLongTextIsNotSpliced(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b), small)
	a.Handle(always(fakeprovider.Events(chunks(strings.SplitAfter(strings.Repeat("word ", 50), " ")...)...)))
	if h := listen(t, r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body); h.failed == "" || b.Count() != 0 {
		t.Errorf("%+v; the other was asked %d times", h, b.Count())
	}
}

// An error answer that quotes the gateway's key and is cut in the midst of it does
// not show the beginning either. S21
func TestCutErrorAnswerShowsNoKey(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), small)
	for shown := 1; shown < len(providerKey)+5; shown++ {
		p.Script(fakeprovider.Status(422, strings.Repeat("x", 1000-shown)+providerKey+" is not a key"))
		got := string(r.post(chat, hello).body)
		if strings.Contains(got, providerKey[:10]) || !strings.HasPrefix(got, "xxx") {
			t.Errorf("cut after %d bytes of the key: …%s", shown, got[max(0, len(got)-60):])
		}
	}
}

// What the log leaves out in a second is counted.
func TestLogLinesAreCounted(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), small)
	p.Handle(always(fakeprovider.Fail(503, "overloaded", "busy")))
	for end := time.Now().Add(5 * time.Second); r.metric("llm_proxy_limit_hits_total", `limit="max_log_lines"`) == 0; {
		if r.post(chat, hello); time.Now().After(end) {
			t.Fatal("no line was left out")
		}
	}
}
