package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/usage"
)

// saying is a chunk that tells of its usage on the way, as some providers do
// with each and others with the first.
func saying(content string, prompt, completion int) string {
	told := fmt.Sprintf(`,"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`+"\n\n", prompt, completion)
	return strings.TrimSuffix(chunk(content), "}\n\n") + told
}

// billed runs one request, whose client stays, at providers that answer so, one
// each, and returns what the client got, and the record.
func billed(t *testing.T, path, body, recovery string, answers ...fakeprovider.Answer) (string, usage.Record) {
	t.Helper()
	var providers []*fakeprovider.Provider
	for _, a := range answers {
		p := fakeprovider.Start(t)
		p.Handle(always(a))
		providers = append(providers, p)
	}
	r := start(t, serves(providers...), quick)
	got := r.post(path, body, "X-Llm-Proxy-Recovery: "+recovery)
	return string(got.body), r.sink.wait(t, 1)
}

// isBilled fails the test if the record has other tokens, or another source.
func isBilled(t *testing.T, r usage.Record, source usage.Source, prompt, completion int64) {
	t.Helper()
	if r.Source != source || r.Prompt != prompt || r.Completion != completion {
		t.Errorf("billed %d and %d, %s; want %d and %d, %s: %+v", r.Prompt, r.Completion, r.Source, prompt, completion, source, r)
	}
}

// helloTokens are those of the prompt of hello and helloSSE.
const helloTokens = 12

// What a provider says of its usage before the answer's end is not that of the
// answer: the first chunk's says 1, or nothing, where hundreds follow. It was
// billed as it stood, whatever came after it.
func TestUsageOnTheWay(t *testing.T) {
	f := func(name string, source usage.Source, prompt, completion int64, a fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			_, rec := billed(t, chat, helloSSE, "none", a)
			isBilled(t, rec, source, prompt, completion)
		})
	}
	first := []string{saying("one", 5, 1), chunk(" two"), chunk(" three")}
	f("cut behind it", usage.Partial, 5, 3, fakeprovider.Events(first...).CutAfter(3, fakeprovider.FIN))
	f("whole, and nothing more is said", usage.Counted, 5, 3, fakeprovider.Events(append(first, finish, doneMark)...))
	f("whole, and said at the end", usage.Upstream, 5, 3, fakeprovider.Events(append(first, finish, usageOnly, doneMark)...))
	f("with every chunk, more than is seen", usage.Partial, 5, 40, fakeprovider.Events(chunk("one"), saying(" two", 5, 40)).CutAfter(2, fakeprovider.FIN))
}

// Of a splice the last provider is paid, which has told all of the answer, and
// by its own words: what the broken one had said of its own stayed.
func TestSpliceBillsTheLast(t *testing.T) {
	broken := fakeprovider.Events(saying("one", 500, 1), saying(" two", 500, 2)).CutAfter(2, fakeprovider.FIN)
	rest := []string{chunk("one"), chunk(" two"), chunk(" three"), finish}
	got, rec := billed(t, chat, helloSSE, "splice", broken, fakeprovider.Events(append(rest, doneMark)...))
	if isBilled(t, rec, usage.Counted, helloTokens, 3); said(got) != "one two three" || rec.Provider != "b" {
		t.Errorf("%s of %+v", got, rec)
	}
	_, rec = billed(t, chat, helloSSE, "splice", broken, fakeprovider.Events(append(rest, usageOnly, doneMark)...))
	isBilled(t, rec, usage.Upstream, 5, 3)
	_, rec = billed(t, chat, helloSSE, "splice", broken, fakeprovider.Fail(503, "overloaded", "busy"))
	if isBilled(t, rec, usage.Partial, 500, 2); rec.Provider != "a" || rec.Outcome != usage.Truncated {
		t.Errorf("recorded %+v", rec)
	}
}

// A replay that ends in a provider's error event is not what the client heard:
// its stream ended without a word, neither whole nor cut (contract 5).
func TestFailedReplayIsTold(t *testing.T) {
	broken := fakeprovider.Events(chunk("one"), chunk(" two")).CutAfter(2, fakeprovider.FIN)
	failed := fakeprovider.Events(chunk("one"), fakeprovider.Data(`{"error":{"message":"overloaded"}}`))
	if got, rec := billed(t, chat, helloSSE, "splice", broken, failed); !strings.Contains(got, cutEvent) || rec.Outcome != usage.Truncated {
		t.Errorf("%s of %+v", got, rec)
	}
}

// A client that leaves while nobody has its request owes nothing: the prompt was
// billed at the provider that had refused it.
func TestLeavingInAPauseBillsNothing(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Handle(always(fakeprovider.Limited(2 * time.Second)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if resp, err := http.DefaultClient.Do(r.request("POST", chat, hello).WithContext(ctx)); err == nil {
			resp.Body.Close()
		}
	}()
	eventually(t, "it waits for the provider", func() bool { return r.metric("llm_proxy_retries_total") == 1 })
	cancel()
	if rec := r.sink.wait(t, 1); rec.Result() != "client_gone:backoff" || rec.Source != usage.None || rec.Prompt != 0 {
		t.Errorf("recorded %+v, %s", rec, rec.Result())
	}
}

// The usage event has come, and the client leaves before [DONE]: the provider's
// word stands.
func TestLeavingBehindTheUsage(t *testing.T) {
	for _, last := range []fakeprovider.Answer{
		fakeprovider.Events(chunk("one"), finish, usageOnly, doneMark).CutAfter(3, fakeprovider.Silent),
		fakeprovider.Events(chunk("one"), usageOnly, doneMark).CutAfter(2, fakeprovider.Silent), // no finish_reason
	} {
		p := fakeprovider.Start(t)
		r := start(t, serves(p))
		p.Handle(always(last))
		c := r.dial(chat, strings.Replace(helloSSE, "{", `{"stream_options":{"include_usage":true},`, 1))
		readUntil(t, c, `"total_tokens":8`)
		leave(c, false)
		isBilled(t, r.sink.wait(t, 1), usage.Upstream, 5, 3)
	}
}

// A stream of the Responses API that breaks off before response.completed is
// billed as far as it came.
func TestCutResponses(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{Text: []string{"one", " two", " three"}}.Answer(q).CutAfter(6, fakeprovider.FIN)
	})
	r.post("/v1/responses", `{"model":"gpt-4","stream":true,"input":"hi"}`)
	if rec := r.sink.wait(t, 1); rec.Outcome != usage.Truncated {
		t.Errorf("recorded %+v", rec)
	} else {
		isBilled(t, rec, usage.Partial, 3+1+1+3, 2)
	}
}

// Answers whose tokens are not counted here are paid by what the provider says
// of them; of streams that was not read.
func TestUsageOfImagesAndSpeech(t *testing.T) {
	told := `"usage":{"input_tokens":5,"output_tokens":3,"total_tokens":8}`
	image := `{"created":1,"data":[{"b64_json":"` + strings.Repeat("aW1h", 100_000) + `"}],` + told + `}`
	early := `{"created":1,` + told + `,"data":[{"b64_json":"` + strings.Repeat("aW1h", 100_000) + `"}]}`
	f := func(path string, source usage.Source, prompt, completion int64, a fakeprovider.Answer) {
		t.Helper()
		got, rec := billed(t, path, `{"model":"gpt-4","prompt":"a cat","input":"hello"}`, "none", a)
		isBilled(t, rec, source, prompt, completion)
		if got != strings.Join(a.Parts, "") || rec.Outcome != usage.Complete {
			t.Errorf("%s: %d bytes of %+v", path, len(got), rec)
		}
	}
	const images, speech = "/v1/images/generations", "/v1/audio/speech"
	f(images, usage.Upstream, 5, 3, fakeprovider.OK(`{"created":1,"data":[{"b64_json":"aW1h"}],`+told+`}`))
	f(images, usage.Upstream, 5, 3, fakeprovider.OK(image))
	f(images, usage.Upstream, 5, 3, fakeprovider.OK(early)) // was lost, it is not at the end
	f(images, usage.Upstream, 5, 3, fakeprovider.Events(
		"event: image_generation.partial_image\n"+fakeprovider.Data(`{"type":"image_generation.partial_image","b64_json":"aW1h"}`),
		"event: image_generation.completed\n"+fakeprovider.Data(`{"type":"image_generation.completed","b64_json":"aW1h",`+told+`}`)))
	f(speech, usage.Upstream, 5, 3, fakeprovider.Events(
		fakeprovider.Data(`{"type":"speech.audio.delta","audio":"aW1h"}`), fakeprovider.Data(`{"type":"speech.audio.done",`+told+`}`)))
	f(speech, usage.None, 0, 0, fakeprovider.Events("data: this is no JSON\n\n"))
	f(images, usage.None, 0, 0, fakeprovider.OK(`{"created":1,"data":[]}`))
}

// A whole answer that is longer than is kept, of a provider that tells no usage,
// is estimated: its text was taken for empty, and called counted.
func TestLongAnswerIsEstimated(t *testing.T) {
	const words = 150_000
	content := strings.Repeat("word ", words)
	long := `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + content + `"},"finish_reason":"stop"}]}`
	pieces := `{"choices":[{"message":{"content":[` + strings.Repeat(`{"type":"text","text":"word word word word"},`, words/4) + `{}]}}]}`
	for _, body := range []string{long, pieces} {
		_, rec := billed(t, chat, hello, "none", fakeprovider.OK(body))
		if rec.Source != usage.Estimated || rec.Prompt != helloTokens || rec.Completion < words*9/10 || rec.Completion > words*3/2 {
			t.Errorf("recorded %+v, want about %d", rec, words)
		}
	}
	_, rec := billed(t, chat, hello, "none", fakeprovider.OK(strings.TrimSuffix(long, "}")+`,"usage":{"prompt_tokens":5,"completion_tokens":3}}`))
	isBilled(t, rec, usage.Upstream, 5, 3)
}
