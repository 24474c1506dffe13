package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

func chunks(texts ...string) []string {
	events := []string{chunk("")}
	for _, t := range texts {
		events = append(events, chunk(t))
	}
	return events
}

func whole(texts ...string) fakeprovider.Answer {
	return fakeprovider.Events(append(chunks(texts...), finish, usageOnly, doneMark)...)
}

// said puts the contents of a stream together.
func said(stream string) string {
	var text strings.Builder
	for _, piece := range strings.Split(stream, `"content":"`)[1:] {
		text.WriteString(piece[:strings.IndexByte(piece, '"')])
	}
	return text.String()
}

// A stream that breaks off goes on from another provider, without a seam, if
// that one says the same; with an error event if it does not.
func TestSplice(t *testing.T) {
	f := func(name string, first, second fakeprovider.Answer, want string, complete bool, result string) {
		t.Run(name, func(t *testing.T) {
			a, b := fakeprovider.Start(t), fakeprovider.Start(t)
			set := serves(a, b)
			set.Providers[0].Params.StreamRecovery = config.RecoverSplice
			r := start(t, set, quick)
			a.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return first })
			b.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return second })
			got := string(r.post(chat, helloSSE).body)
			if said(got) != want {
				t.Errorf("the client hears %q, want %q, of %s", said(got), want, got)
			}
			ended := strings.HasSuffix(got, finish+doneMark) && !strings.Contains(got, cutEvent)
			cut := strings.Contains(got, "\n\n"+cutEvent) && !strings.Contains(got, "[DONE]")
			if ended != complete || cut == complete {
				t.Errorf("complete=%v, want %v: %s", ended, complete, got)
			}
			if n := r.metric("llm_proxy_stream_recoveries_total", `result="`+result+`"`); n != 1 && result != "" {
				t.Errorf("%s: %v", result, n)
			}
			rec := r.sink.wait(t, 1)
			if complete && (rec.Outcome != usage.Complete || rec.Provider != "b" || rec.Completion != 3) {
				t.Errorf("recorded %+v", rec)
			}
			if !complete && rec.Outcome != usage.Truncated {
				t.Errorf("recorded %+v", rec)
			}
		})
	}
	broken := fakeprovider.Events(chunks("one ", "two ", "three ")...)
	cut := broken.CutAfter(4, fakeprovider.RST)
	f("same pieces", cut, whole("one ", "two ", "three ", "four"), "one two three four", true, "spliced")
	f("one letter a piece", cut, whole(strings.Split("one two three four", "")...), "one two three four", true, "spliced")
	f("one piece", cut, whole("one two three four"), "one two three four", true, "spliced")
	f("pieces across the seam", cut, whole("one t", "wo three fo", "ur"), "one two three four", true, "spliced")
	f("nothing left to say", cut, whole("one two ", "three "), "one two three ", true, "spliced")
	f("silence", broken.CutAfter(4, fakeprovider.Silent), whole("one two three four"), "one two three four", true, "spliced")
	f("half an event", broken.CutInside(3, fakeprovider.FIN), whole("one two three four"), "one two three four", true, "spliced")
	f("another answer", cut, whole("one two 3 ", "four"), "one two three ", false, "diverged")
	f("a shorter answer", cut, whole("one two "), "one two three ", false, "diverged")
	f("none", cut, fakeprovider.Fail(503, "overloaded", "busy"), "one two three ", false, "failed")
	failed := fakeprovider.Events(append(chunks("one "), fakeprovider.Data(`{"error":{"message":"overloaded"}}`))...)
	failed.Gap = 30 * time.Millisecond
	f("after an error event", failed, whole("one two"), "one ", false, "")
}

// Who has not asked for a splice gets the error event.
func TestSpliceIsOptIn(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b), quick)
	a.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(chunks("one ")...).CutAfter(2, fakeprovider.RST)
	})
	b.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return whole("one ", "two") })
	if got := string(r.post(chat, helloSSE).body); !strings.Contains(got, cutEvent) || b.Count() != 0 {
		t.Errorf("not asked for: %s", got)
	}
	if got := string(r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body); said(got) != "one two" {
		t.Errorf("asked for by the request: %s", got)
	}
	manyChoices := `{"model":"gpt-4","stream":true,"n":2}`
	if got := string(r.post(chat, manyChoices, "X-Llm-Proxy-Recovery: splice").body); !strings.Contains(got, cutEvent) {
		t.Errorf("two choices: %s", got)
	}
}

// A held stream is asked for again until it is whole; nothing goes out before.
func TestHold(t *testing.T) {
	f := func(name string, first fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			a, b := fakeprovider.Start(t), fakeprovider.Start(t)
			set := serves(a, b)
			set.Providers[0].Params.StreamRecovery = config.RecoverHold
			r := start(t, set, quick)
			a.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return first })
			b.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return whole("another ", "answer") })
			got := r.post(chat, helloSSE)
			if said(string(got.body)) != "another answer" || !strings.HasSuffix(string(got.body), doneMark) {
				t.Errorf("the client sees %s", got.body)
			}
			if got.header.Get("X-Llm-Proxy-Provider") != "b" || got.header.Get("X-Llm-Proxy-Attempts") != "2" {
				t.Errorf("headers: %v", got.header)
			}
		})
	}
	broken := fakeprovider.Events(chunks("one ", "two ")...)
	f("RST", broken.CutAfter(3, fakeprovider.RST))
	f("FIN", broken.CutAfter(3, fakeprovider.FIN))
	f("silence", broken.CutAfter(3, fakeprovider.Silent))
	f("half an event", broken.CutInside(2, fakeprovider.FIN))
	f("a proper end without finish_reason", broken)
	f("an error event", fakeprovider.Events(append(chunks("one "), fakeprovider.Data(`{"error":{"message":"overloaded"}}`))...))
}

// A stream longer than the bound is let go there.
func TestHoldIsBounded(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), quick, func(o *server.Options, _ *route.Builder) { o.MaxAnswerBytes = 1000 })
	long := fakeprovider.Events(append(chunks(strings.Split(strings.Repeat("word ", 200), " ")...), finish, doneMark)...)
	gate := make(chan struct{})
	long.Gate = gate
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return long })
	headed := make(chan *http.Response, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r.request("POST", chat, helloSSE, "X-Llm-Proxy-Recovery: hold"))
		if err != nil {
			t.Error(err)
		}
		headed <- resp
	}()
	for sent := 0; ; sent++ {
		select {
		case <-time.After(5 * time.Millisecond):
			gate <- struct{}{}
		case resp := <-headed:
			if sent < 5 || sent > 100 {
				t.Errorf("let go after %d events", sent)
			}
			close(gate)
			resp.Body.Close()
			return
		}
	}
}

// What a provider said before it failed is forgotten: the record has the text
// of the answer that was sent, and no usage of the one that was not.
func TestFailedAttemptBillsNothing(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b), quick)
	a.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(append(chunks("many ", "many ", "words "), usageOnly)...)
	})
	b.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(append(chunks("one"), finish, doneMark)...)
	})
	if got := string(r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: hold").body); said(got) != "one" {
		t.Fatalf("the client hears %q", said(got))
	}
	if rec := r.sink.wait(t, 1); rec.Source != usage.Counted || rec.Completion != 1 {
		t.Errorf("recorded %+v, want one token, counted", rec)
	}
}

// A replay that is answered whole instead of as a stream is none.
func TestSpliceNeedsAStream(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(a, b), quick)
	a.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(chunks("one ")...).CutAfter(2, fakeprovider.RST)
	})
	b.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.OK(`{"choices":[]}`) })
	if got := string(r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: splice").body); !strings.Contains(got, cutEvent) {
		t.Errorf("the client sees %s", got)
	}
	if n := r.metric("llm_proxy_stream_recoveries_total", `result="spliced"`); n != 0 {
		t.Errorf("counted as spliced: %v", n)
	}
}
