package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(
		m,
		// fasthttp lets these sleep on for up to ten seconds, or for good.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// start serves on a free port until the test ends and returns the address.
func start(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(o)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, "http://" + ln.Addr().String()
}

// call sends a request and returns the status and the body.
func call(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// object posts a body and decodes the answer, which must be a success.
func object(t *testing.T, url, body string) map[string]any {
	t.Helper()
	resp, got := call(t, "POST", url, body)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: got %s, %q: %s", body, resp.Status, resp.Header.Get("Content-Type"), got)
	}
	return decode(t, got)
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}

// dig walks into decoded JSON by names and indexes.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func TestWholeAnswers(t *testing.T) {
	_, url := start(t, Options{})
	f := func(path, body string, want any, at ...any) {
		t.Helper()
		if got := dig(object(t, url+path, body), at...); got != want {
			t.Errorf("%s %s: got %v at %v, want %v", path, body, got, at, want)
		}
	}
	spoken := float64(len(strings.Fields(speech)))
	chat := "/v1/chat/completions"
	f(chat, `{"model":"demo","messages":[]}`, speech, "choices", 0, "message", "content")
	f(chat, `{"model":"any/name"}`, "any/name", "model")
	f(chat, `{"model":"demo"}`, "stop", "choices", 0, "finish_reason")
	f(chat, `{"model":"demo"}`, "chat.completion", "object")
	f(chat, `{"model":"demo"}`, spoken, "usage", "completion_tokens")
	f(chat, `{"messages":[{"role":"system","content":"be  kind\n"},{"content":[{"type":"text","text":"two words"},{"type":"image_url"}]},{"content":null}]}`, 4., "usage", "prompt_tokens")
	f(chat, `{"messages":[{"content":"one"}],"max_tokens":2}`, 3., "usage", "total_tokens")
	f(chat, `{"max_tokens":2}`, "Hello! You", "choices", 0, "message", "content")
	f(chat, `{"max_completion_tokens":1}`, "Hello!", "choices", 0, "message", "content")
	f(chat, `{"max_tokens":2}`, "length", "choices", 0, "finish_reason")
	f(chat, `{"max_tokens":100000}`, "stop", "choices", 0, "finish_reason")
	f("/v1/completions", `{"model":"demo","prompt":"say it now"}`, speech, "choices", 0, "text")
	f("/v1/completions", `{"model":"demo","prompt":["say it","now"]}`, 3., "usage", "prompt_tokens")
	f("/v1/responses", `{"model":"demo","input":"hello there"}`, speech, "output", 0, "content", 0, "text")
	f("/v1/responses", `{"input":"hello there"}`, 2., "usage", "input_tokens")
	f("/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"hello there"}]}]}`, 2., "usage", "input_tokens")
	f("/v1/responses", `{"input":"x","max_output_tokens":3}`, "incomplete", "status")
}

func TestLengthOfAnswers(t *testing.T) {
	f := func(tokens int, body string, want int) {
		t.Helper()
		_, url := start(t, Options{Tokens: tokens})
		m := object(t, url+"/v1/chat/completions", body)
		text, _ := dig(m, "choices", 0, "message", "content").(string)
		if got := len(strings.Fields(text)); got != want || dig(m, "usage", "completion_tokens") != float64(want) {
			t.Errorf("%d tokens, %s: got %d words, usage %v, want %d", tokens, body, got, m["usage"], want)
		}
	}
	f(1, `{}`, 1)
	f(5, `{}`, 5)
	f(5, `{"max_tokens":3}`, 3)
	f(3*len(script)+1, `{}`, 3*len(script)+1)
}

func TestStreams(t *testing.T) {
	_, url := start(t, Options{Tokens: 3})
	f := func(path, body string, text func(any) any, count int, last string) {
		t.Helper()
		resp, got := call(t, "POST", url+path, body)
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			t.Fatalf("%s: got %s: %s", body, resp.Status, got)
		}
		events := strings.Split(strings.TrimSuffix(got, "\n\n"), "\n\n")
		said := ""
		for _, event := range events {
			_, data, _ := strings.Cut(event, "data: ")
			if data != "[DONE]" {
				word, _ := text(decode(t, data)).(string)
				said += word
			}
		}
		if said != "Hello! You are" || len(events) != count || !strings.Contains(events[len(events)-1], last) {
			t.Errorf("%s %s: got %q in %d events, want %d with %q at the end:\n%s", path, body, said, len(events), count, last, got)
		}
	}
	chat := func(v any) any { return dig(v, "choices", 0, "delta", "content") }
	legacy := func(v any) any { return dig(v, "choices", 0, "text") }
	delta := func(v any) any { return dig(v, "delta") }
	f("/v1/chat/completions", `{"stream":true}`, chat, 6, "data: [DONE]")
	f("/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, chat, 7, "data: [DONE]")
	f("/v1/completions", `{"stream":true}`, legacy, 5, "data: [DONE]")
	f("/v1/responses", `{"stream":true}`, delta, 11, "event: response.completed")
	f("/v1/responses", `{"stream":true,"max_output_tokens":3}`, delta, 11, "event: response.completed")
}

func TestStreamTellsFinishAndUsage(t *testing.T) {
	_, url := start(t, Options{})
	_, got := call(t, "POST", url+"/v1/chat/completions", `{"messages":[{"content":"hi you"}],"max_tokens":2,"stream":true,"stream_options":{"include_usage":true}}`)
	for _, want := range []string{
		`"choices":[{"index":0,"delta":{},"finish_reason":"length"}]`,
		`"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func TestWordsComeOneByOne(t *testing.T) {
	const gap = 20 * time.Millisecond
	_, url := start(t, Options{Gap: gap, Latency: gap, Tokens: 2})
	begun := time.Now()
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var at []time.Duration
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			at = append(at, time.Since(begun))
		}
	}
	if len(at) != 5 || at[0] < gap || at[4] < 5*gap || at[0] > at[4]-2*gap {
		t.Errorf("events came at %v", at)
	}
}

func TestShutdownBreaksStreamsOff(t *testing.T) {
	s, url := start(t, Options{Gap: time.Hour})
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	br := bufio.NewReader(resp.Body)
	if line, err := br.ReadString('\n'); err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(br); err == nil {
		t.Errorf("the stream ended as if it were whole: %q", rest)
	}
}

func TestShutdownBeforeServe(t *testing.T) {
	s := New(Options{})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestRefusals(t *testing.T) {
	_, url := start(t, Options{})
	f := func(method, path, body string, status int, param any) {
		t.Helper()
		resp, got := call(t, method, url+path, body)
		problem := dig(decode(t, got), "error")
		if resp.StatusCode != status || dig(problem, "param") != param || dig(problem, "message") == "" {
			t.Errorf("%s %s %s: got %s %s, want %d with param %v", method, path, body, resp.Status, got, status, param)
		}
		if status == http.StatusMethodNotAllowed && resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", method, path)
		}
	}
	chat := "/v1/chat/completions"
	f("POST", chat, `{`, 400, nil)
	f("POST", chat, ``, 400, nil)
	f("POST", chat, `[]`, 400, nil)
	f("POST", chat, `{"stream":"yes"}`, 400, nil)
	f("POST", chat, `{"n":2}`, 400, "n")
	f("POST", chat, `{"max_tokens":0}`, 400, "max_tokens")
	f("POST", chat, `{"response_format":{"type":"json_object"}}`, 400, "response_format")
	f("POST", "/v1/embeddings", `{"input":"x","dimensions":5000}`, 400, "dimensions")
	f("POST", "/v1/embeddings", `{"input":"x","dimensions":-1}`, 400, "dimensions")
	f("GET", chat, ``, 405, nil)
	f("POST", "/v1/models", `{}`, 405, nil)
	f("GET", "/v1/models/gpt-4", ``, 404, nil)
	f("POST", "/v1/nothing", `{}`, 404, nil)
}

func TestNothingIsRepeated(t *testing.T) {
	_, url := start(t, Options{})
	const secret = "canary-1b2c3d"
	for _, path := range []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"} {
		for _, body := range []string{
			`{"messages":[{"content":"` + secret + `"}],"prompt":"` + secret + `","input":"` + secret + `","user":"` + secret + `"}`,
			`{"stream":"` + secret + `"}`,
			`{"broken` + secret,
		} {
			if _, got := call(t, "POST", url+path, body); strings.Contains(got, secret) {
				t.Errorf("%s: %s", path, got)
			}
		}
	}
}

func TestModels(t *testing.T) {
	_, url := start(t, Options{})
	_, list := call(t, "GET", url+"/v1/models", "")
	_, one := call(t, "GET", url+"/v1/models/demo", "")
	if dig(decode(t, list), "data", 0, "id") != "demo" || dig(decode(t, one), "object") != "model" {
		t.Errorf("got %s and %s", list, one)
	}
}

func TestEmbeddings(t *testing.T) {
	_, url := start(t, Options{})
	vector := func(body string) []float64 {
		t.Helper()
		list, _ := dig(object(t, url+"/v1/embeddings", body), "data", 0, "embedding").([]any)
		v := make([]float64, len(list))
		for i := range list {
			v[i], _ = list[i].(float64)
		}
		return v
	}
	dot := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	cat := vector(`{"input":"the cat sat"}`)
	if len(cat) != usualDimensions || !slices.Equal(cat, vector(`{"input":["the CAT sat","x"]}`)) {
		t.Errorf("equal texts differ, or the vector is not of %d: %v", usualDimensions, cat)
	}
	if square := dot(cat, cat); square < 0.999 || square > 1.001 {
		t.Errorf("length is %v", square)
	}
	if near, far := dot(cat, vector(`{"input":"the cat ran"}`)), dot(cat, vector(`{"input":"quite other words"}`)); near <= far {
		t.Errorf("shared words do not count: %v, %v", near, far)
	}
	if v := vector(`{"input":"","dimensions":3}`); !slices.Equal(v, []float64{1, 0, 0}) {
		t.Errorf("no words: %v", v)
	}
	if got := dig(object(t, url+"/v1/embeddings", `{"input":"","dimensions":1,"encoding_format":"base64"}`), "data", 0, "embedding"); got != "AACAPw==" {
		t.Errorf("base64: got %v", got)
	}
	if got := dig(object(t, url+"/v1/embeddings", `{"input":["a b","c"]}`), "usage", "prompt_tokens"); got != 3. {
		t.Errorf("usage: got %v", got)
	}
}

func BenchmarkStream(b *testing.B) {
	s := New(Options{Tokens: 100})
	q := &request{Model: Model, Stream: true}
	b.ReportAllocs()
	for b.Loop() {
		if events := s.compose(q, "x").chunks("chat.completion.chunk", q, nil, func(w *string) choice { return choice{Text: w} }); len(events) != 102 {
			b.Fatalf("%d events", len(events))
		}
	}
}
