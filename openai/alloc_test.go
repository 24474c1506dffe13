//go:build !race

package openai

import (
	"strings"
	"testing"
)

// What runs for every request and every event allocates nothing once its
// buffers have grown.
func TestNoAllocations(t *testing.T) {
	f := func(name string, work func() bool) {
		t.Helper()
		ok := work() // warm-up
		if n := testing.AllocsPerRun(100, func() { ok = ok && work() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if !ok {
			t.Errorf("%s: wrong result", name)
		}
	}

	var q Request
	body := chatBody(4 << 10)
	f("Parse", func() bool { return q.Parse(body) == nil && string(q.Model) == "gpt-4o" })
	escaped := []byte(`{"mod\u0065l":"gpt\u002d4o","stream_options":{"include\u005fusage":false},"` + strings.Repeat(`\u0061`, 200) + `":1}`)
	f("Parse escapes", func() bool { return q.Parse(escaped) == nil && string(q.Model) == "gpt-4o" })

	segments := make([][]byte, 0, 8)
	model := []byte(`"gpt-4o-2024-08-06"`)
	f("Splice", func() bool {
		return q.Parse(body) == nil && len(q.Splice(segments, body, model, true)) == 6
	})
	text := make([]byte, 0, 8<<10)
	f("AppendString", func() bool { return string(AppendString(text, []byte("é\n漢"))) == `"é\n漢"` })

	var d Delta
	chunk := []byte(chunkText)
	f("Delta", func() bool { d.Parse(chunk); return d.Valid && d.HasText && !d.Finished })
	last := []byte(chunkUsage)
	f("Delta usage", func() bool { d.Parse(last); return d.UsageOnly && d.Usage.Completion == 34 })
	f("AppendText", func() bool { return string(AppendText(text, chunk)) == " hello\n" })

	answer := []byte(answerText)
	f("ParseUsage", func() bool { u, ok := ParseUsage(answer); return ok && u.Prompt == 12 })
	f("ValidJSON", func() bool { return ValidJSON(answer) })
	f("AppendAnswerText", func() bool { return len(AppendAnswerText(text, answer)) > 0 })

	stream := []byte("event: x\r\ndata: " + chunkText + "\r\n\r\ndata: a\ndata: b\n\n")
	var s Splitter
	scratch := make([]byte, 0, len(stream))
	f("Splitter", func() bool {
		first, ok := s.Next(stream)
		data, name := EventData(stream[:first], scratch)
		second, whole := s.Next(stream[first:])
		joined, _ := EventData(stream[first:], scratch)
		return ok && whole && first+second == len(stream) && string(data) == chunkText && string(name) == "x" && string(joined) == "a\nb"
	})
	f("AppendEvent", func() bool {
		return len((&Error{Status: 429, Type: "rate_limit_error", Code: "c", Message: "m"}).AppendEvent(text)) > 0
	})
}

// Reading a prompt allocates a few things, however long it is.
func TestFewAllocationsOfEachPart(t *testing.T) {
	body := []byte(`{"messages":[` + strings.Repeat(`{"role":"user","name":"b","content":[{"type":"text","text":"some\ntext"}]},`, 1000) + `{}]}`)
	var q Request
	if err := q.Parse(body); err != nil {
		t.Fatal(err)
	}
	messages := 0
	n := testing.AllocsPerRun(10, func() {
		messages = 0
		q.EachPart(body, func(p Part) {
			if p.Kind == PartMessage {
				messages++
			}
		})
	})
	if n > 8 || messages != 1001 {
		t.Errorf("%v allocations for %d messages", n, messages)
	}
}
