package sdk

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"llmproxy/internal/fakeprovider"
)

// listen collects a stream to its end.
func listen(t *testing.T, client *openai.Client, params openai.ChatCompletionNewParams, body *[]byte) (*openai.ChatCompletionAccumulator, []openai.ChatCompletionChunk) {
	t.Helper()
	stream := client.Chat.Completions.NewStreaming(bounded(t), params, sent(body))
	defer stream.Close()
	var chunks []openai.ChatCompletionChunk
	all := &openai.ChatCompletionAccumulator{}
	for stream.Next() {
		chunk := stream.Current()
		if !all.AddChunk(chunk) {
			t.Fatalf("the SDK cannot add %+v", chunk)
		}
		chunks = append(chunks, chunk)
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	return all, chunks
}

func TestStream(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.answering(fakeprovider.Reply{})
		var body []byte
		all, chunks := listen(t, x.client(t), x.ask(), &body)
		if c := all.Choices[0]; c.Message.Content != secretAnswer || c.FinishReason != "stop" {
			t.Errorf("got %+v", c)
		}
		if len(chunks) != 4 {
			t.Errorf("%d chunks, want 4", len(chunks))
		}
		for i, chunk := range chunks {
			if len(chunk.Choices) == 0 || chunk.Usage.TotalTokens != 0 {
				t.Errorf("chunk %d is one that nobody asked for: %s", i, chunk.RawJSON())
			}
		}
		x.sameBytesBesideUsage(t, body)
	})
}

// sameBytesBesideUsage is sameBytes for a stream whose client did not ask for
// usage: the gateway may have put that question in, and nothing else.
func (x *target) sameBytesBesideUsage(t *testing.T, body []byte) {
	t.Helper()
	asked := regexp.MustCompile(`,?"stream_options":\{"include_usage":true\},?`)
	last := x.fake.Last()
	plain := asked.ReplaceAll(last.Body, nil)
	want := bytes.Replace(body, []byte(`"`+x.model+`"`), []byte(`"`+upstreamModel+`"`), 1)
	if !bytes.Equal(plain, want) {
		t.Errorf("the provider saw\n%s\nwant\n%s", last.Body, want)
	}
	if x.gateway != nil && bytes.Equal(plain, last.Body) {
		t.Error("the gateway did not ask for the usage")
	}
}

func TestStreamWithUsage(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		params := x.ask()
		params.StreamOptions.IncludeUsage = openai.Bool(true)
		var body []byte
		all, chunks := listen(t, x.client(t), params, &body)
		if last := chunks[len(chunks)-1]; len(last.Choices) != 0 || last.Usage.CompletionTokens != 7 || all.Usage.PromptTokens != 11 {
			t.Errorf("got %+v at the end, %+v in all", last, all.Usage)
		}
		x.sameBytes(t, body)
	})
}

func TestStreamedTools(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.answering(fakeprovider.Reply{Calls: []fakeprovider.Call{
			{ID: "call_a", Name: "weather", Arguments: []string{`{"ci`, `ty":`, `"Paris"}`}},
			{ID: "call_b", Name: "weather", Arguments: []string{`{}`}},
		}})
		params := x.ask()
		params.Tools = []openai.ChatCompletionToolUnionParam{weather()}
		var body []byte
		all, _ := listen(t, x.client(t), params, &body)
		calls := all.Choices[0].Message.ToolCalls
		if len(calls) != 2 || calls[0].ID != "call_a" || calls[0].Function.Arguments != `{"city":"Paris"}` || calls[1].Function.Arguments != `{}` {
			t.Errorf("got %+v", calls)
		}
		if all.Choices[0].FinishReason != "tool_calls" {
			t.Errorf("finished by %q", all.Choices[0].FinishReason)
		}
	})
}

func TestStreamOfSeveralChoices(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.answering(fakeprovider.Reply{})
		params := x.ask()
		params.N = openai.Int(2)
		var body []byte
		all, _ := listen(t, x.client(t), params, &body)
		if len(all.Choices) != 2 || all.Choices[1].Message.Content != secretAnswer {
			t.Errorf("got %+v", all.Choices)
		}
	})
}

// TestStreamsInOddPieces: how a provider cuts its bytes is nothing that a
// client could notice.
func TestStreamsInOddPieces(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		f := func(name string, change func(fakeprovider.Answer) fakeprovider.Answer) {
			t.Helper()
			y := fakeprovider.Reply{Text: []string{"世界", " 🌍", " é"}}
			x.fake.ScriptFunc(func(r *fakeprovider.Request) fakeprovider.Answer { return change(y.Answer(r)) })
			var body []byte
			if all, _ := listen(t, x.client(t), x.ask(), &body); all.Choices[0].Message.Content != "世界 🌍 é" {
				t.Errorf("%s: got %q", name, all.Choices[0].Message.Content)
			}
		}
		f("byte by byte", func(a fakeprovider.Answer) fakeprovider.Answer { a.Split = 1; return a })
		f("CRLF", fakeprovider.Answer.WithCRLF)
		f("a comment first", func(a fakeprovider.Answer) fakeprovider.Answer {
			a.Parts = append([]string{": ping\n\n"}, a.Parts...)
			return a
		})
		f("until the connection closes", func(a fakeprovider.Answer) fakeprovider.Answer {
			a.Framing = fakeprovider.UntilClose
			return a
		})
	})
}

// TestEventsComeAtOnce: the client has an event before the provider sends the
// next one.
func TestEventsComeAtOnce(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		gate := make(chan struct{})
		x.fake.ScriptFunc(func(r *fakeprovider.Request) fakeprovider.Answer {
			a := fakeprovider.OpenAI(r)
			a.Gate = gate
			return a
		})
		events := make(chan string)
		go func() {
			defer close(events)
			stream := x.client(t).Chat.Completions.NewStreaming(bounded(t), x.ask())
			defer stream.Close()
			for stream.Next() {
				if c := stream.Current().Choices[0]; c.Delta.Content != "" {
					events <- c.Delta.Content
				}
			}
		}()
		gate <- struct{}{} // the role
		for _, want := range []string{"Hello", " from", " the"} {
			gate <- struct{}{}
			select {
			case got := <-events:
				if got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%q was kept back", want)
			}
		}
		close(gate)
		for range events { // to the end
		}
	})
}

func TestLeavingAStream(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		gate := make(chan struct{}, 2)
		gate <- struct{}{}
		gate <- struct{}{}
		x.fake.ScriptFunc(func(r *fakeprovider.Request) fakeprovider.Answer {
			a := fakeprovider.OpenAI(r)
			a.Gate = gate
			return a
		})
		ctx, leave := context.WithCancel(bounded(t))
		stream := x.client(t).Chat.Completions.NewStreaming(ctx, x.ask())
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		leave()
		stream.Close()
		x.fake.Last().WaitGone(t)
	})
}

// TestManyLeaving: of many clients that leave their streams at about the same
// time, none leaves a connection behind.
func TestManyLeaving(t *testing.T) {
	x := gateway(t)
	x.fake.Handle(func(r *fakeprovider.Request) fakeprovider.Answer {
		gate := make(chan struct{}, 1)
		gate <- struct{}{}
		a := fakeprovider.OpenAI(r)
		a.Gate = gate
		return a
	})
	const clients, streams = 8, 50
	var all sync.WaitGroup
	for range clients {
		client := x.client(t)
		all.Go(func() {
			for range streams {
				ctx, leave := context.WithCancel(context.Background())
				stream := client.Chat.Completions.NewStreaming(ctx, x.ask())
				if !stream.Next() {
					t.Error(stream.Err())
				}
				leave()
				stream.Close()
			}
		})
	}
	all.Wait()
	for _, r := range x.fake.Requests() {
		r.WaitGone(t)
	}
	x.gateway.AwaitMetric(t, `llm_proxy_requests_total{model="`+publicModel+`"}`, clients*streams)
}

func TestLeavingBeforeTheAnswer(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.fake.Script(fakeprovider.Answer{Hold: make(chan struct{})})
		ctx, leave := context.WithCancel(bounded(t))
		ended := make(chan error)
		go func() {
			_, err := x.client(t).Chat.Completions.New(ctx, x.ask())
			ended <- err
		}()
		r := x.fake.Next(t)
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		r.WaitGone(t)
	})
}

// TestCutStreamIsAnError: a stream that ends too soon never looks whole.
func TestCutStreamIsAnError(t *testing.T) {
	f := func(x *target, name string, change func(fakeprovider.Answer) fakeprovider.Answer) {
		t.Helper()
		x.fake.ScriptFunc(func(r *fakeprovider.Request) fakeprovider.Answer {
			return change(fakeprovider.Reply{Text: []string{"one", "two", "three"}}.Answer(r))
		})
		stream := x.client(t).Chat.Completions.NewStreaming(bounded(t), x.ask())
		defer stream.Close()
		text := ""
		for stream.Next() {
			if choices := stream.Current().Choices; len(choices) > 0 {
				text += choices[0].Delta.Content
			}
		}
		if stream.Err() == nil {
			t.Errorf("%s: the stream ended as if it were whole, with %q", name, text)
		}
		if !bytes.HasPrefix([]byte("onetwothree"), []byte(text)) {
			t.Errorf("%s: %q is not what the provider said", name, text)
		}
	}
	against(t, func(t *testing.T, x *target) {
		f(x, "reset", func(a fakeprovider.Answer) fakeprovider.Answer { return a.CutAfter(2, fakeprovider.RST) })
		f(x, "closed", func(a fakeprovider.Answer) fakeprovider.Answer { return a.CutAfter(2, fakeprovider.FIN) })
		f(x, "half an event", func(a fakeprovider.Answer) fakeprovider.Answer { return a.CutInside(2, fakeprovider.FIN) })
	})
	x := gateway(t)
	f(x, "ended in order, without finish_reason", func(a fakeprovider.Answer) fakeprovider.Answer {
		a.Parts = a.Parts[:3]
		return a
	})
}

// TestProviderThatRefusesStreamOptions: the gateway's own question must not
// cost the client its answer.
func TestProviderThatRefusesStreamOptions(t *testing.T) {
	x := gateway(t)
	x.answering(fakeprovider.Reply{RefuseStreamOptions: true})
	for range 2 {
		var body []byte
		if all, _ := listen(t, x.client(t), x.ask(), &body); all.Choices[0].Message.Content != secretAnswer {
			t.Errorf("got %+v", all.Choices[0])
		}
	}
	if n := x.fake.Count(); n != 3 {
		t.Errorf("%d requests for two streams: the refusal was not remembered", n)
	}
}
