package provider

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"llmproxy/bench/loadgen"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp lets these sleep on for up to ten seconds, or for good.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// start serves a provider until the test ends, and returns its address.
func start(t *testing.T, o Options) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if o.Tokens == 0 {
		o.Tokens = 3
	}
	o.Model = "m"
	p := New(o)
	served := make(chan error, 1)
	go func() { served <- p.Serve(ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func post(t *testing.T, url, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(got)
}

// TestOpenAIsClientUnderstandsIt: whole answers and streams, by its own library.
func TestOpenAIsClientUnderstandsIt(t *testing.T) {
	client := openai.NewClient(option.WithBaseURL(start(t, Options{Stamp: InField})+"/v1"), option.WithAPIKey("k"), option.WithMaxRetries(0))
	ask := openai.ChatCompletionNewParams{Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}}
	whole, err := client.Chat.Completions.New(t.Context(), ask)
	if err != nil || whole.Choices[0].Message.Content != " word word word" || whole.Choices[0].FinishReason != "stop" || whole.Usage.CompletionTokens != 3 {
		t.Errorf("%v %+v", err, whole)
	}
	ask.MaxTokens = openai.Int(2)
	ask.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
	var sum openai.ChatCompletionAccumulator
	for stream.Next() {
		sum.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || sum.Choices[0].Message.Content != " word word" || sum.Choices[0].FinishReason != "length" || sum.Usage.CompletionTokens != 2 {
		t.Errorf("%v %+v", err, sum.ChatCompletion)
	}
}

func TestAnswersHaveTheLengthThatIsWanted(t *testing.T) {
	url := start(t, Options{Bytes: 1024})
	for _, body := range []string{`{}`, `{"max_tokens":1}`, `{"messages":[{"content":"` + strings.Repeat("x", 9999) + `"}]}`} {
		if resp, got := post(t, url, body); resp.StatusCode != 200 || len(got) != 1024 || !json.Valid([]byte(got)) {
			t.Errorf("%.40s: %s, %d bytes: %s", body, resp.Status, len(got), got)
		}
	}
	if _, got := post(t, start(t, Options{Bytes: 1}), `{}`); !json.Valid([]byte(got)) {
		t.Errorf("of one byte: %s", got)
	}
}

// TestWhatARequestAsksForIsFound: with and without spaces, and not in a text.
func TestWhatARequestAsksForIsFound(t *testing.T) {
	f := func(body string, stream, usage bool, tokens int) {
		t.Helper()
		if q := read([]byte(body), 10); q.stream != stream || q.usage != usage || q.tokens != tokens {
			t.Errorf("%s: %+v", body, q)
		}
	}
	f(``, false, false, 10)
	f(`{"stream":true}`, true, false, 10)
	f(`{"stream" : true}`, false, false, 10) // nobody writes it so; it costs nothing but a whole answer
	f("{\"stream\": \n true, \"stream_options\": {\"include_usage\": true}}", true, true, 10)
	f(`{"stream":false,"stream_options":{"include_usage":true}}`, false, false, 10)
	f(`{"messages":[{"content":"{\"stream\":true,\"max_tokens\":1}"}]}`, false, false, 10)
	f(`{"max_tokens":4}`, false, false, 4)
	f(`{"max_completion_tokens": 4,"max_tokens": 6}`, false, false, 4)
	f(`{"max_tokens":null}`, false, false, 10)
	f(`{"max_tokens":99999999999999999999}`, false, false, 10)
}

// TestErrorsHaveTheirShareAndTheirStatus.
func TestErrorsHaveTheirShareAndTheirStatus(t *testing.T) {
	url := start(t, Options{Errors: 0.5, ErrorStatus: []int{429, 503}})
	seen := map[int]int{}
	for range 200 {
		resp, got := post(t, url, `{}`)
		seen[resp.StatusCode]++
		if !json.Valid([]byte(got)) || (resp.StatusCode == 429) != (resp.Header.Get("Retry-After") != "") {
			t.Fatalf("%s: %s", resp.Status, got)
		}
	}
	// Each is some eight standard deviations wide.
	if len(seen) != 3 || seen[200] < 40 || seen[200] > 160 || seen[429] < 5 || seen[503] < 5 {
		t.Errorf("%v", seen)
	}
}

// TestLatenciesAreLogNormal: half of them and 99 of 100 lie where they are said
// to, with z as the normal distribution's quantiles.
func TestLatenciesAreLogNormal(t *testing.T) {
	f := func(o Options, z float64, want time.Duration) {
		t.Helper()
		if got := o.latency(z); math.Abs(float64(got-want)) > float64(want)/1e6 {
			t.Errorf("%v at %v: %v; want %v", o, z, got, want)
		}
	}
	both := Options{Latency: 100 * time.Millisecond, LatencyP99: time.Second}
	f(both, 0, 100*time.Millisecond)
	f(both, z99, time.Second)
	f(both, -z99, 10*time.Millisecond)
	f(both, 1000, longest)
	f(Options{Latency: time.Second}, 5, time.Second)
	f(Options{}, 5, 0)
}

func TestThePaceOfStreams(t *testing.T) {
	f := func(interval time.Duration, perSecond float64, want time.Duration, tokens int) {
		t.Helper()
		o := Options{Interval: interval, TokensPerSecond: perSecond}
		if got, n := o.pace(); got != want || n != tokens {
			t.Errorf("%v, %g/s: %d every %v; want %d, %v", interval, perSecond, n, got, tokens, want)
		}
	}
	f(0, 0, 0, 1)
	f(20*time.Millisecond, 0, 20*time.Millisecond, 1)
	f(0, 100, 10*time.Millisecond, 1)
	f(50*time.Millisecond, 100, 50*time.Millisecond, 5)
	f(time.Millisecond, 100, time.Millisecond, 1)
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	f := func(good bool, o Options) {
		t.Helper()
		if err := o.Check(); (err == nil) != good {
			t.Errorf("%+v: %v", o, err)
		}
	}
	f(true, Options{Tokens: 1})
	f(false, Options{})
	f(false, Options{Tokens: 1, LatencyP99: 1})
	f(false, Options{Tokens: 1, Latency: 2, LatencyP99: 1})
	f(false, Options{Tokens: 1, Errors: 0.1})
	f(false, Options{Tokens: 1, Errors: 1.1, ErrorStatus: []int{500}})
	f(false, Options{Tokens: 1, ErrorStatus: []int{200}})
	f(false, Options{Tokens: 1, TokensPerSecond: math.NaN()})
	f(false, Options{Tokens: 1, Interval: -1})
}

// TestTheWayOfEveryEventIsMeasured: the generator finds the moment that the
// provider put into each event, wherever it stands; no way is longer than the
// whole answer took, and none is where no event says it.
func TestTheWayOfEveryEventIsMeasured(t *testing.T) {
	f := func(stamp Stamp, delays int64) {
		t.Helper()
		target, err := loadgen.NewTarget(start(t, Options{Tokens: 5, Interval: 2 * time.Millisecond, Stamp: stamp}), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := loadgen.Run(t.Context(), target, loadgen.Plan{Rate: 100, Time: 100 * time.Millisecond, Timeout: 10 * time.Second, Connections: 4, Stream: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Right != 10 || r.Delay.Count() != delays || r.Skewed != 0 || r.Delay.Max() > r.Latency.Max() {
			t.Errorf("%v: %d right, %d delays, %d skewed, %v of %v", &stamp, r.Right, r.Delay.Count(), r.Skewed, r.Delay.Max(), r.Latency.Max())
		}
		// Five events have four intervals between them: no answer is quicker.
		if r.Latency.Quantile(0) < 8*time.Millisecond {
			t.Errorf("%v: latency %v", &stamp, r.Latency.Quantile(0))
		}
	}
	f(InField, 50)
	f(InContent, 50)
	f(NoStamp, 0)
}

// TestStreamsEndWithTheProvider: broken off, not as if they were whole.
func TestStreamsEndWithTheProvider(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Tokens: 2, Interval: time.Hour, Latency: 0})
	served := make(chan error, 1)
	go func() { served <- p.Serve(ln) }()
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Post("http://"+ln.Addr().String(), "", strings.NewReader(`{"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: " {
		t.Fatalf("%q %v", first, err)
	}
	if err := p.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(resp.Body); err == nil || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("it ended as if it were whole: %s", rest)
	}
}

// TestTheRestIsAnsweredByTheRest: all that is no chat request.
func TestTheRestIsAnsweredByTheRest(t *testing.T) {
	url := start(t, Options{Rest: func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(http.StatusTeapot) }})
	got := []int{}
	for _, path := range []string{"/v1/models", "/v1/chat/completions", "/"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got = append(got, resp.StatusCode)
	}
	resp, _ := post(t, url, `{}`)
	if got = append(got, resp.StatusCode); !slices.Equal(got, []int{418, 418, 418, 200}) {
		t.Errorf("%v", got)
	}
}

// BenchmarkWhole is what an answer costs, without its sockets.
func BenchmarkWhole(b *testing.B) {
	p := New(Options{Tokens: 100, Bytes: 1024})
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(http.MethodPost)
	ctx.Request.SetBodyString(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 900) + `"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if p.handle(&ctx); len(ctx.Response.Body()) != 1024 {
			b.Fatal(string(ctx.Response.Body()))
		}
	}
}
