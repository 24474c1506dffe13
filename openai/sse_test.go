package openai

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// split feeds a stream in pieces of the given sizes (the last one repeats) and
// returns the events and what is left.
func split(stream string, sizes ...int) (events []string, rest string) {
	var s Splitter
	var buf []byte
	for i := 0; len(stream) > 0; i++ {
		n := min(len(stream), sizes[min(i, len(sizes)-1)])
		buf = append(buf, stream[:n]...)
		stream = stream[n:]
		for {
			end, ok := s.Next(buf)
			if !ok {
				break
			}
			events = append(events, string(buf[:end]))
			buf = buf[end:]
		}
	}
	return events, string(buf)
}

func TestSplitter(t *testing.T) {
	f := func(stream string, want ...string) {
		t.Helper()
		rest := strings.TrimPrefix(stream, strings.Join(want, ""))
		for size := 1; size <= len(stream); size++ {
			got, left := split(stream, size)
			if !slices.Equal(got, want) || left != rest {
				t.Errorf("%q in pieces of %d: %q and %q", stream, size, got, left)
			}
		}
	}

	f("data: a\n\n", "data: a\n\n")
	f("data: a\n\ndata: b\n\nda", "data: a\n\n", "data: b\n\n")
	f("data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\n\r\n", "data: b\r\n\r\n")
	f("data: a\r\rdata: b\r\r", "data: a\r\r", "data: b\r\r")
	f("data: a\n\r\ndata: b\n\n", "data: a\n\r\n", "data: b\n\n")
	f("data: a\r\n\ndata: b\n\n", "data: a\r\n\n", "data: b\n\n")
	f("data: a\n\rdata: b\n\n", "data: a\n\r", "data: b\n\n")
	f("data: a\ndata: b\n\n", "data: a\ndata: b\n\n")
	f(": comment\n\n", ": comment\n\n")
	f("event: x\ndata: {}\nid: 7\nretry: 1\n\n", "event: x\ndata: {}\nid: 7\nretry: 1\n\n")
	f("\ufeffdata: a\n\n", "\ufeffdata: a\n\n")
	f("\n\ndata: a\n\n", "\n", "\n", "data: a\n\n")
	f("\r\n\r\ndata: a\r\n\r\n", "\r\n", "\r\n", "data: a\r\n\r\n")
	f("\r\rdata: a\r\r", "\r", "\r", "data: a\r\r")
	f("data: caf\u00e9 \U0001F600\n\n", "data: caf\u00e9 \U0001F600\n\n")

	// not whole yet
	f("")
	f("data: a")
	f("data: a\n")
	f("data: a\r\n")
	f("data: a\r\n\r") // an LF may come
	f("data: a\n\r")

	// a blank line after a bare CR does not wait; an LF behind it is a blank line
	f("data: a\r\r\ndata: b\n\n", "data: a\r\r", "\n", "data: b\n\n")
}

func TestEventData(t *testing.T) {
	f := func(event, data, name string, some bool) {
		t.Helper()
		gotData, gotName := EventData([]byte(event), nil)
		if string(gotData) != data || string(gotName) != name || (gotData != nil) != some {
			t.Errorf("EventData(%q) = %q, %q, %v; want %q, %q, %v", event, gotData, gotName, gotData != nil, data, name, some)
		}
	}

	f("data: a\n\n", "a", "", true)
	f("data:a\n\n", "a", "", true)
	f("data:  a \n\n", " a ", "", true)
	f("data:\ta\r\r", "\ta", "", true)
	f("data: a", "a", "", true)
	f("data: {\"a\":\"b:c\"}\r\n\r\n", `{"a":"b:c"}`, "", true)
	f("event: response.completed\ndata: {}\n\n", "{}", "response.completed", true)
	f("data: {}\nevent:x\nevent: y\n\n", "{}", "y", true)
	f("data: a\ndata: b\n\n", "a\nb", "", true)
	f("data: a\rdata:b\r\ndata\ndata: \n\n", "a\nb\n\n", "", true)
	f("\ufeffdata: a\n\n", "a", "", true)
	f("id: 1\n: data: c\nretry: 2\ndata: a\nother: d\n\n", "a", "", true)

	f("data\n\n", "", "", true)
	f("data:\n\n", "", "", true)
	f("data: \n\n", "", "", true)
	f("data\n", "", "", true)
	f("", "", "", false)
	f("\n", "", "", false)
	f("\r\n", "", "", false)
	f(": comment\n\n", "", "", false)
	f(":\n\n", "", "", false)
	f("event: ping\n\n", "", "ping", false)
	f("Data: a\n\n", "", "", false)
	f(" data: a\n\n", "", "", false)
	f("data : a\n\n", "", "", false)
	f("datax: a\n\n", "", "", false)
}

// One data line is a view; more are put together in scratch, which is enough
// when it is as large as the event.
func TestEventDataMemory(t *testing.T) {
	event := []byte("data: abc\n\n")
	data, _ := EventData(event, nil)
	if &data[0] != &event[6] {
		t.Error("one data line is not a view")
	}
	event = []byte("data:a\ndata:b\ndata:c\n\n")
	scratch := make([]byte, 0, len(event))
	data, _ = EventData(event, scratch)
	if string(data) != "a\nb\nc" || &data[0] != &scratch[:1][0] {
		t.Errorf("%q is not in scratch", data)
	}
	if string(event) != "data:a\ndata:b\ndata:c\n\n" {
		t.Errorf("the event was changed: %q", event)
	}
}

// message is an event as a client sees it.
type message struct{ name, data string }

// dispatch reads a whole stream line by line, as the WHATWG's text has it.
func dispatch(stream string) (messages []message) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	lines := strings.Split(stream, "\n")
	name, data, some := "", "", false
	for _, line := range lines[:len(lines)-1] { // the last one has no end
		if line == "" {
			if some {
				messages = append(messages, message{name, strings.TrimSuffix(data, "\n")})
			}
			name, data, some = "", "", false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			data += value + "\n"
			some = true
		}
	}
	return messages
}

var streamPieces = []string{
	"\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\r\r", "data", "data:", "data: ", "event: x", "event:", ":", ": ping", "id: 1",
	" ", "a", "{\"choices\":[]}", "[DONE]", "é", "\x00", "data: a\n\n", "data: b\r\n\r\n", "data: c\r\r", "a long line of more than eight bytes",
}

// checkSplit feeds a stream in two ways and holds it against dispatch.
func checkSplit(t failer, stream string, sizes []int) {
	t.Helper()
	events, rest := split(stream, sizes...)
	whole, wholeRest := split(stream, max(1, len(stream)))
	if !slices.Equal(events, whole) || rest != wholeRest {
		t.Fatalf("%q in pieces of %v: %q and %q; in one: %q and %q", stream, sizes, events, rest, whole, wholeRest)
	}
	if strings.Join(events, "")+rest != stream {
		t.Fatalf("%q became %q and %q", stream, events, rest)
	}
	var got []message
	for _, event := range events {
		if data, name := EventData([]byte(event), nil); data != nil {
			got = append(got, message{string(name), string(data)})
		}
	}
	want := dispatch(stream)
	if strings.HasSuffix(rest, "\r") && len(want) == len(got)+1 {
		want = want[:len(got)] // still waits for the LF that may follow
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q is read as %q, want %q", stream, got, want)
	}
}

func TestSplitterProperty(t *testing.T) {
	pieces := rapid.SliceOfN(rapid.SampledFrom(streamPieces), 0, 30)
	sizes := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 50)
	rapid.Check(t, func(t *rapid.T) {
		stream := strings.Join(pieces.Draw(t, "stream"), "")
		if rapid.Bool().Draw(t, "mark") {
			stream = "\ufeff" + stream
		}
		checkSplit(t, stream, sizes.Draw(t, "sizes"))
	})
}

func FuzzSplitter(f *testing.F) {
	for i, stream := range []string{
		"data: a\n\ndata: b\r\n\r\n: c\r\revent: x\ndata\n\n",
		"\ufeffdata:a\rdata:b\n\r\n", "\r\n\n\r", strings.Join(streamPieces, ""),
	} {
		f.Add([]byte(stream), byte(i+1), byte(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, first, then byte) {
		if bytes.Contains(bytes.TrimPrefix(stream, byteOrderMark), byteOrderMark) {
			return // passed over in front of any event, where the WHATWG has it at the start alone
		}
		checkSplit(t, string(stream), []int{int(first) + 1, int(then) + 1})
	})
}

// A large event that comes byte by byte is looked at once. If every byte made
// it look again from the start, these would be 8 Ti looks, and hours.
func TestSplitterIsLinear(t *testing.T) {
	const size = 4 << 20
	for _, end := range []string{"\n\n", "\r\n\r\n", "\r\r"} {
		event := []byte("data: " + strings.Repeat("x", size) + end)
		var s Splitter
		for n := range event {
			if got, ok := s.Next(event[:n]); ok {
				t.Fatalf("event of %d bytes ends at %d of %d", len(event), got, n)
			}
		}
		if got, ok := s.Next(event); !ok || got != len(event) {
			t.Fatalf("%d, %v; want %d", got, ok, len(event))
		}
	}
}
