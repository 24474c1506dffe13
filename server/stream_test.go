package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/upstream"
	"llmproxy/usage"
)

func chunk(content string) string {
	return fakeprovider.Data(`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"` + content + `"},"finish_reason":null}]}`)
}

const (
	finish    = `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageOnly = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}}` + "\n\n"
	doneMark  = "data: [DONE]\n\n"
	cutEvent  = `data: {"error":{`
)

// Every byte of a stream arrives as the provider sent it, however it comes.
func TestStreamBytesAreTheProviders(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	whole := ": comment\n\n" + chunk("a") + "event: ping\ndata: {\"choices\":[]}\n\n" + chunk("ж–日本🙂") +
		"data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"no space\"}}]}\n\n" +
		"data: {\"choices\":\ndata: []}\n\n" + "id: 7\nretry: 10\n\n" + chunk(long) + finish + doneMark
	f := func(name string, a fakeprovider.Answer, want string) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return a })
			got := r.post(chat, helloSSE)
			if got.err != nil || !bytes.Equal(got.body, []byte(want)) {
				t.Errorf("%d bytes (%v), want %d; first difference at %d", len(got.body), got.err, len(want), difference(got.body, want))
			}
			if ct := got.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
				t.Errorf("content-type: %q", ct)
			}
			if got.header.Get("Cache-Control") != "no-cache" || got.header.Get("X-Accel-Buffering") != "no" {
				t.Errorf("headers: %v", got.header)
			}
		})
	}
	f("as one", fakeprovider.Events(whole), whole)
	small := ": comment\n\n" + chunk("a") + chunk("ж–日本🙂") + finish + doneMark
	split := fakeprovider.Events(small)
	split.Split = 1
	f("byte by byte", split, small)
	crlf := fakeprovider.Events(small).WithCRLF()
	f("CRLF", crlf, strings.ReplaceAll(small, "\n", "\r\n"))
	crlf.Split = 3
	f("CRLF, split", crlf, strings.ReplaceAll(small, "\n", "\r\n"))
	zipped := fakeprovider.Events(small)
	zipped.Gzip = true
	f("gzip although identity was asked for", zipped, small)
}

func difference(got []byte, want string) int {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return i
		}
	}
	return min(len(got), len(want))
}

// Usage is asked of the provider; who did not ask for it does not see it.
func TestUsageOfStreams(t *testing.T) {
	f := func(name, body string, seesUsage bool) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			p.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
				return fakeprovider.Events(chunk("a"), finish, usageOnly, doneMark)
			})
			got := string(r.post(chat, body).body)
			if strings.Contains(got, "prompt_tokens") != seesUsage || !strings.HasSuffix(got, doneMark) {
				t.Errorf("the client sees %s", got)
			}
			if o, _ := p.Last().JSON()["stream_options"].(map[string]any); o["include_usage"] != true {
				t.Errorf("the provider was sent %s", p.Last().Body)
			}
			rec := r.sink.wait(t, 1)
			if rec.Source != usage.Upstream || rec.Prompt != 5 || rec.Completion != 3 || rec.Cached != 2 || rec.Reasoning != 1 {
				t.Errorf("recorded %+v", rec)
			}
			if n := r.metric("llm_proxy_tokens_total", `token_type="completion"`); n != 3 {
				t.Errorf("completion tokens counted: %v", n)
			}
		})
	}
	f("not asked for", `{"model":"gpt-4","stream":true}`, false)
	f("refused by the client", `{"model":"gpt-4","stream":true,"stream_options":{"include_usage":false}}`, false)
	f("null", `{"model":"gpt-4","stream_options":null,"stream":true}`, false)
	f("asked for", `{"model":"gpt-4","stream":true,"stream_options":{"include_usage":true}}`, true)
}

// Usage that comes together with choices is not taken out.
func TestUsageBesideChoicesStays(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	last := `data: {"choices":[{"index":0,"delta":{"content":"end"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3}}` + "\n\n"
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(chunk("a"), last, doneMark)
	})
	if got := string(r.post(chat, helloSSE).body); got != chunk("a")+last+doneMark {
		t.Errorf("the client sees %s", got)
	}
}

// A provider that refuses stream_options is asked without, at once and from
// then on; the client notices nothing, and tokens are counted here.
func TestProviderWithoutStreamOptions(t *testing.T) {
	p := fakeprovider.Start(t)
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{Text: []string{"Hello", " world"}, RefuseStreamOptions: true, NoUsage: true}.Answer(q)
	})
	r := start(t, serves(p))
	for i := range 3 {
		if got := r.post(chat, helloSSE); got.status != 200 || !strings.HasSuffix(string(got.body), doneMark) {
			t.Fatalf("request %d: %d %s", i, got.status, got.body)
		}
	}
	if p.Count() != 4 {
		t.Errorf("asked %d times, want 4: one refusal, three answers", p.Count())
	}
	rec := r.sink.wait(t, 3)
	if rec.Source != usage.Counted || rec.Completion != 2 || rec.Prompt == 0 {
		t.Errorf("recorded %+v", rec)
	}
}

// A stream that the provider does not finish must never look complete.
func TestCutStreams(t *testing.T) {
	f := func(name string, a fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p), quick)
			p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return a })
			got := r.post(chat, helloSSE)
			rest, ok := strings.CutPrefix(string(got.body), chunk("a"))
			if !ok || !strings.HasPrefix(rest, cutEvent) || strings.Contains(rest, "[DONE]") || strings.Count(rest, "data:") != 1 {
				t.Errorf("the client sees %s", got.body)
			}
			if !strings.Contains(rest, `"upstream_stream_error"`) || got.err != nil {
				t.Errorf("the end is %s (%v)", rest, got.err)
			}
			eventually(t, "counted as truncated", func() bool { return r.metric("llm_proxy_streams_truncated_total", `provider="a"`) == 1 })
			if rec := r.sink.wait(t, 1); rec.Outcome != usage.Truncated || rec.Source != usage.Partial {
				t.Errorf("recorded %+v", rec)
			}
		})
	}
	both := fakeprovider.Events(chunk("a"), chunk("b"))
	f("FIN", both.CutAfter(1, fakeprovider.FIN))
	f("RST", both.CutAfter(1, fakeprovider.RST))
	f("half an event", both.CutInside(1, fakeprovider.FIN))
	f("silence", both.CutAfter(1, fakeprovider.Silent))
	f("a proper end without finish_reason", fakeprovider.Events(chunk("a")))
	noEnd := fakeprovider.Events(chunk("a"))
	noEnd.NoEnd, noEnd.Ending = true, fakeprovider.FIN
	f("no last chunk", noEnd)
}

// An answer that is complete but for its [DONE] gets it.
func TestMissingDone(t *testing.T) {
	f := func(name string, a fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return a })
			began := time.Now()
			if got := string(r.post(chat, helloSSE).body); got != chunk("a")+finish+doneMark {
				t.Errorf("the client sees %s", got)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("finished after %v", took)
			}
		})
	}
	f("proper end", fakeprovider.Events(chunk("a"), finish))
	f("cut", fakeprovider.Events(chunk("a"), finish, chunk("never")).CutAfter(2, fakeprovider.FIN))
	f("silence", fakeprovider.Events(chunk("a"), finish, chunk("never")).CutAfter(2, fakeprovider.Silent))
	f("without its blank line", fakeprovider.Events(chunk("a"), finish, "data: [DONE]"))
}

// With two choices the answer is whole when both are.
func TestTwoChoices(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	second := strings.Replace(finish, `"index":0`, `"index":1`, 1)
	body := `{"model":"gpt-4","stream":true,"n":2}`
	p.Script(fakeprovider.Events(chunk("a"), finish, chunk("b"), second))
	if got := string(r.post(chat, body).body); got != chunk("a")+finish+chunk("b")+second+doneMark {
		t.Errorf("both finished: %s", got)
	}
	p.Script(fakeprovider.Events(chunk("a"), finish, chunk("b")))
	if got := string(r.post(chat, body).body); !strings.HasPrefix(got, chunk("a")+finish+chunk("b")+cutEvent) {
		t.Errorf("one finished: %s", got)
	}
}

// An event that is not JSON is passed over and counted; the stream goes on.
func TestMalformedEventIsPassedOver(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events("data: {oops\n\n", chunk("a"), "data: {\"choices\":[\n\n", chunk("b"), finish, doneMark)
	})
	if got := string(r.post(chat, helloSSE).body); got != chunk("a")+chunk("b")+finish+doneMark {
		t.Errorf("the client sees %s", got)
	}
	if n := r.metric("llm_proxy_bad_events_total", `provider="a"`); n != 2 {
		t.Errorf("bad events counted: %v", n)
	}
}

// Events go out one by one as they come, and the head not before the first.
func TestEventsAreNotHeldBack(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	gate := make(chan struct{})
	a := fakeprovider.Events(chunk("1"), chunk("2"), chunk("3"), finish, doneMark)
	a.Gate = gate
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer { return a })
	headed := make(chan *http.Response)
	go func() {
		resp, err := http.DefaultClient.Do(r.request("POST", chat, helloSSE))
		if err != nil {
			t.Error(err)
		}
		headed <- resp
	}()
	p.Next(t)
	select {
	case <-headed:
		t.Fatal("the head came before the first event")
	case <-time.After(50 * time.Millisecond):
	}
	gate <- struct{}{}
	resp := <-headed
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := 1; i <= 3; i++ {
		want := chunk(fmt.Sprint(i))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(lines, got); err != nil || string(got) != want {
			t.Fatalf("event %d: %q (%v)", i, got, err)
		}
		gate <- struct{}{} // only now may the provider send the next
	}
	close(gate)
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != finish+doneMark {
		t.Errorf("the rest: %q (%v)", rest, err)
	}
}

// An event over the limit ends the stream with an error, in bounded memory.
func TestEndlessEvent(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(chunk("a"), "data: "+strings.Repeat("x", 5<<20))
	})
	got := string(r.post(chat, helloSSE).body)
	if !strings.HasPrefix(got, chunk("a")+cutEvent) || len(got) > 1000 {
		t.Errorf("the client sees %.300s… (%d bytes)", got, len(got))
	}
}

// An HTTP/1.0 client, which knows no chunks, gets the stream whole.
func TestStreamToHTTP10(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(chunk("a"), finish, doneMark)
	})
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chat, clientKey, len(helloSSE), helloSSE)
	all, err := io.ReadAll(c)
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if err != nil || body != chunk("a")+finish+doneMark || strings.Contains(head, "chunked") {
		t.Errorf("%s (%v)", all, err)
	}
}

// The Responses API has an end of its own and no [DONE].
func TestResponsesStream(t *testing.T) {
	event := func(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }
	created := event("response.created", `{"type":"response.created","response":{"status":"in_progress"}}`)
	completed := event("response.completed", `{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":9,"output_tokens":4}}}`)
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Script(fakeprovider.Events(created, completed))
	body := `{"model":"gpt-4","stream":true,"input":"x"}`
	if got := string(r.post("/v1/responses", body).body); got != created+completed {
		t.Errorf("the client sees %s", got)
	}
	if rec := r.sink.wait(t, 1); rec.Prompt != 9 || rec.Completion != 4 || rec.Outcome != usage.Complete {
		t.Errorf("recorded %+v", rec)
	}
	if strings.Contains(string(p.Last().Body), "stream_options") {
		t.Errorf("stream_options were put into %s", p.Last().Body)
	}
	p.Script(fakeprovider.Events(created))
	if got := string(r.post("/v1/responses", body).body); !strings.HasPrefix(got, created+cutEvent) {
		t.Errorf("cut: the client sees %s", got)
	}
}

// A drain lets streams go on for its grace, then ends them with an error event.
func TestDrainEndsStreams(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), func(_ *server.Options, b *route.Builder) { b.Client.Timeouts = upstream.Timeouts{} })
	p.Handle(func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Events(chunk("a"), chunk("b")).CutAfter(1, fakeprovider.Silent)
	})
	resp, err := http.DefaultClient.Do(r.request("POST", chat, helloSSE))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len(chunk("a")))
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	go r.shutdown(50 * time.Millisecond)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(string(rest), cutEvent) || !strings.Contains(string(rest), "overloaded") {
		t.Errorf("the end: %q (%v)", rest, err)
	}
}
