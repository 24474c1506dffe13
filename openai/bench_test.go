package openai

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const (
	chunkText  = `{"id":"chatcmpl-9abcdefghijklmnop","object":"chat.completion.chunk","created":1712345678,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_123456","choices":[{"index":0,"delta":{"content":" hello\n"},"logprobs":null,"finish_reason":null}],"usage":null}`
	chunkUsage = `{"id":"chatcmpl-9abcdefghijklmnop","object":"chat.completion.chunk","created":1712345678,"model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}}}`
	answerText = `{"id":"chatcmpl-9","object":"chat.completion","created":1712345678,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help you today?\nAsk away."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}`
)

// chatBody is a chat request with a prompt of so many bytes.
func chatBody(size int) []byte {
	prompt := strings.Repeat("The quick brown fox jumps over the lazy dog. ", size/45+1)[:size]
	return chatBodyOf(prompt)
}

func chatBodyOf(prompt string) []byte {
	return fmt.Appendf(nil, `{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":%s}],"temperature":0.7,"max_tokens":256,"stream":true}`, AppendString(nil, prompt))
}

func BenchmarkParse(b *testing.B) {
	f := func(name string, body []byte) {
		b.Run(name, func(b *testing.B) {
			var q Request
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Parse(body); err != nil || string(q.Model) != "gpt-4o" || !q.Stream || q.MaxTokens != 256 || q.MessagesAt.End < len(body)/2 {
					b.Fatal(err, string(q.Model), q.Stream, q.MaxTokens, q.MessagesAt)
				}
			}
		})
	}

	f("text=1KB", chatBody(1<<10))
	f("text=64KB", chatBody(64<<10))
	f("text=1MB", chatBody(1<<20))
	f("source=64KB", chatBodyOf(strings.Repeat("\tif err != nil {\n\t\treturn \"no\"\n\t}\n", 2000)))
	f("chinese=64KB", chatBodyOf(strings.Repeat("敏捷的棕色狐狸跳过了懒狗。", 1700)))
	f("image=1MB", chatBodyOf("data:image/png;base64,"+strings.Repeat("iVBORw0KGgo/AAAANSUhEUg+A", 40_000)))
	f("schema=64KB", bytes.Replace(chatBody(100_000), []byte(`"max_tokens"`), []byte(`"tools":[`+strings.Repeat(`{"type":"object","properties":{"a":{"type":"number","enum":[1,2,3]}},"required":["a"]},`, 750)+`{}],"max_tokens"`), 1))
}

func BenchmarkSplice(b *testing.B) {
	body := chatBody(64 << 10)
	model := []byte(`"gpt-4o-2024-08-06"`)
	var q Request
	if err := q.Parse(body); err != nil {
		b.Fatal(err)
	}
	segments := make([][]byte, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		segments = q.Splice(segments[:0], body, model, true)
		if len(segments) != 6 {
			b.Fatal(len(segments))
		}
	}
}

func BenchmarkDelta(b *testing.B) {
	f := func(name, data string, want Delta) {
		b.Run(name, func(b *testing.B) {
			chunk := []byte(data)
			var d Delta
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if d.Parse(chunk); d != want {
					b.Fatalf("%+v", d)
				}
			}
		})
	}

	f("text", chunkText, Delta{Valid: true, HasText: true})
	f("usage", chunkUsage, Delta{Valid: true, HasUsage: true, UsageOnly: true, Usage: Usage{12, 34, 1, 2}})
	f("done", "[DONE]", Delta{Valid: true, Done: true})
}

// The whole way of a stream's bytes: find the event, take its data, read it.
func BenchmarkStream(b *testing.B) {
	const events = 64
	stream := []byte(strings.Repeat("data: "+chunkText+"\n\n", events))
	var s Splitter
	var d Delta
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for rest := stream; len(rest) > 0; n++ {
			end, ok := s.Next(rest)
			if !ok {
				b.Fatal("no end")
			}
			data, _ := EventData(rest[:end], nil)
			if d.Parse(data); !d.HasText {
				b.Fatalf("%+v", d)
			}
			rest = rest[end:]
		}
		if n != events {
			b.Fatal(n)
		}
	}
}

func BenchmarkParseUsage(b *testing.B) {
	answer := []byte(answerText)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if u, ok := ParseUsage(answer); !ok || u != (Usage{Prompt: 12, Completion: 34}) {
			b.Fatal(u, ok)
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	chunk := []byte(chunkText)
	text := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if text = AppendText(text[:0], chunk); string(text) != " hello\n" {
			b.Fatal(string(text))
		}
	}
}
