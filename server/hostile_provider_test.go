package server_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// takeRequest reads one whole request off a bare connection.
func takeRequest(br *bufio.Reader) error {
	q, err := http.ReadRequest(br)
	if err == nil {
		_, err = io.Copy(io.Discard, q.Body)
	}
	return err
}

// What is no answer is never taken for one: the client gets a typed error, and
// the provider few requests. R17.
func TestAnswersThatAreNone(t *testing.T) {
	p := fakeprovider.Start(t)
	// Nobody else is left to ask, and no breaker opens: each case stands alone.
	f := func(name, raw string) {
		t.Run(name, func(t *testing.T) {
			r := start(t, serves(p))
			for _, body := range []string{hello, helloSSE} {
				before := p.Count()
				p.Handle(always(fakeprovider.Answer{Raw: raw, Ending: fakeprovider.FIN}))
				got := r.post(chat, body)
				if code := got.code(t); got.status != 502 || code != "upstream_error" {
					t.Errorf("%d %q %.200s", got.status, code, got.body)
				}
				if n := p.Count() - before; n > 4 {
					t.Errorf("asked %d times", n)
				}
				p.Handle(nil)
				if next := r.post(chat, body); next.status != 200 || bytes.Contains(next.body, []byte("poison")) {
					t.Errorf("the next answer: %d %.200s", next.status, next.body)
				}
			}
		})
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	f("text", "garbage")
	f("binary", "\x00\xff\x16\x03\x01")
	f("HTML without a head", "<html>hello</html>\r\n\r\n")
	f("another protocol", "SSH-2.0-OpenSSH_9.6\r\n")
	f("HTTP/0.9", `{"poison":1}`)
	f("HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("no status", "HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("a head that ends", "HTTP/1.1 200 OK\r\nContent-Le")
	f("a head without its blank line", ok+"Content-Length: 2\r\n")
	f("nothing", " ")
	f("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}")
	f("a header line without colon", ok+"Content-Length 2\r\n\r\n{}")
	f("a space before the colon", ok+"Content-Length : 2\r\n\r\n{}")
	f("NUL in a name", ok+"X\x00Y: 1\r\nContent-Length: 2\r\n\r\n{}")
	f("a folded line", ok+"X: 1\r\n folded\r\nContent-Length: 2\r\n\r\n{}")
	f("length below zero", ok+"Content-Length: -2\r\n\r\n{}")
	f("length with a sign", ok+"Content-Length: +2\r\n\r\n{}")
	f("length of letters", ok+"Content-Length: two\r\n\r\n{}")
	f("length over 64 bits", ok+"Content-Length: 99999999999999999999\r\n\r\n{}")
	f("two lengths", ok+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")
	f("a list of lengths", ok+"Content-Length: 2, 2\r\n\r\n{}")
	f("length and chunks", ok+"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	f("unknown coding", ok+"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	f("chunked twice", ok+"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	f("short body", ok+"Content-Length: 20\r\n\r\n{\"choices\":[]}")
	f("no last chunk", ok+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
	f("half a chunk", ok+"Transfer-Encoding: chunked\r\n\r\n20\r\n{}")
	f("chunk size of letters", ok+"Transfer-Encoding: chunked\r\n\r\nxy\r\n{}\r\n0\r\n\r\n")
	f("chunk size with 0x", ok+"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n")
	f("chunk size below zero", ok+"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n")
	f("chunk size over 64 bits", ok+"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n")
	f("chunk longer than said", ok+"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n")
	f("switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\npoison")
	f("interim answers without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000))
	f("an answer cut in gzip", ok+"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xaa\xae")
	f("no gzip", ok+"Content-Encoding: gzip\r\nContent-Length: 14\r\n\r\n{\"choices\":[]}")
}

// Bytes after an answer are nobody's: they never begin the next one, in five
// rounds, whether they come with the answer or after it. R18.
func TestExtraBytesNeverPoison(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"poison\":\"drunk\"}"
	rounds := func(t *testing.T, r *rig, body string, ready func()) {
		t.Helper()
		for i := range 5 {
			got := r.post(chat, body)
			if got.status != 200 || got.err != nil || bytes.Contains(got.body, []byte("poison")) || !bytes.Contains(got.body, []byte("choices")) {
				t.Errorf("round %d: %d %s (%v)", i, got.status, got.body, got.err)
			}
			ready()
		}
	}
	f := func(name, body string, a fakeprovider.Answer) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			a.Extra = poison
			p.Handle(always(a))
			// What arrives while the next request is on its way can't be told
			// from its answer by anybody: each round waits for the extra bytes.
			rounds(t, start(t, serves(p)), body, func() { p.Last().WaitDone(t) })
			if p.Opened() != 5 {
				t.Errorf("%d connections for 5 answers that were not clean", p.Opened())
			}
		})
	}
	f("by length", hello, fakeprovider.OK(`{"choices":[]}`))
	chunked := fakeprovider.OK(`{"choices":[]}`)
	chunked.Framing = fakeprovider.Chunked
	f("chunked", hello, chunked)
	f("stream", helloSSE, fakeprovider.Events(chunk("a"), finish, doneMark))

	t.Run("while nobody asks", func(t *testing.T) {
		answered, late := make(chan struct{}), make(chan struct{})
		address := silent(t, func(c net.Conn) {
			for br := bufio.NewReader(c); takeRequest(br) == nil; {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"choices\":[]}")
				<-answered
				_, _ = io.WriteString(c, poison)
				late <- struct{}{}
			}
		})
		set := serves()
		set.Providers = []config.Provider{provider(1, "a", "http://"+address+"/v1")}
		r := start(t, set)
		rounds(t, r, hello, func() { answered <- struct{}{}; <-late })
	})
}

// Heads that are large, long, early, old or odd: each is either an answer or a
// typed error, and the next answer is whole. R19.
func TestOddHeads(t *testing.T) {
	ok := fakeprovider.OK(`{"choices":[]}`)
	f := func(name string, status int, change func(*fakeprovider.Answer)) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			a := ok
			a.Header = append([]string(nil), ok.Header...)
			change(&a)
			p.Script(a)
			got := r.post(chat, hello)
			if got.status != status || got.err != nil {
				t.Errorf("%d %.200s (%v), want %d", got.status, got.body, got.err, status)
			}
			if status >= 400 {
				_ = got.code(t)
			}
			if next := r.post(chat, hello); next.status != 200 || !bytes.Contains(next.body, []byte("fake provider")) {
				t.Errorf("the next answer: %d %.200s", next.status, next.body)
			}
		})
	}
	header := func(lines ...string) func(*fakeprovider.Answer) {
		return func(a *fakeprovider.Answer) { a.Header = append(a.Header, lines...) }
	}
	numbered := func(n int) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf("X-Number-%d: %d", i, i))
		}
		return lines
	}
	f("a header of 32 KiB", 200, header("X-Big: "+strings.Repeat("x", 32<<10)))
	f("a header of 64 KiB", 502, header("X-Big: "+strings.Repeat("x", 64<<10)))
	f("200 header lines", 200, header(numbered(200)...))
	f("2000 header lines", 502, header(numbered(2000)...))
	f("103 before the answer", 200, func(a *fakeprovider.Answer) {
		a.Interim = []string{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"}
	})
	f("HTTP/1.0 until close", 200, func(a *fakeprovider.Answer) { a.Proto, a.Framing = "HTTP/1.0", fakeprovider.UntilClose })
	f("HTTP/1.0 by length", 200, func(a *fakeprovider.Answer) { a.Proto, a.Ending = "HTTP/1.0", fakeprovider.FIN })
	f("HTTP/1.0 in chunks", 502, func(a *fakeprovider.Answer) { a.Proto, a.Framing = "HTTP/1.0", fakeprovider.Chunked })
	f("length beside chunks", 502, func(a *fakeprovider.Answer) {
		a.Framing = fakeprovider.Chunked
		a.Header = append(a.Header, "Content-Length: 14")
	})
	f("204", 502, func(a *fakeprovider.Answer) { a.Status, a.Parts = 204, nil })
	f("204 with a body", 502, func(a *fakeprovider.Answer) { a.Status = 204; a.Header = append(a.Header, "Content-Length: 14") })
	f("200 without a body", 502, func(a *fakeprovider.Answer) { a.Parts = nil })
}

// A redirect is never followed, least of all with the provider's key. R19, S12.
func TestNoRedirectIsFollowed(t *testing.T) {
	p, evil := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(p))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, body := range []string{hello, helloSSE} {
			a := fakeprovider.Status(status, `{}`)
			a.Header = append(a.Header, "Location: "+evil.URL()+"/chat/completions")
			p.Script(a)
			if got := r.post(chat, body); got.status < 300 || got.header.Get("Location") != "" {
				t.Errorf("%d became %d %v", status, got.status, got.header)
			}
		}
	}
	if evil.Count() != 0 {
		t.Errorf("the other host was asked %d times, with %q", evil.Count(), evil.Last().Key())
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An answer of 100 MB goes through a gateway that never holds more than a small
// part of it, even when the client does not read. R20.
func TestHugeAnswer(t *testing.T) {
	const size = 100 << 20
	var sent atomic.Int64
	block := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	address := silent(t, func(c net.Conn) {
		if takeRequest(bufio.NewReader(c)) != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
		for range size / len(block) {
			n, err := c.Write(block)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	set := serves()
	set.Providers = []config.Provider{provider(1, "a", "http://"+address+"/v1")}
	r := start(t, set)
	before := heap()
	resp, err := http.DefaultClient.Do(r.request("POST", "/v1/embeddings", hello))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	last := int64(-1)
	eventually(t, "the provider waits for the client", func() bool {
		now := sent.Load()
		stands := now == last && now > 0
		last = now
		return stands
	})
	if grown := int64(heap()) - int64(before); grown > 10<<20 {
		t.Errorf("%d MB of heap for an answer that nobody reads", grown>>20)
	}
	if last > size/2 {
		t.Errorf("%d MB went into a gateway whose client does not read", last>>20)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	want := sha256.New()
	for range size / len(block) {
		want.Write(block)
	}
	if err != nil || n != size || !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d of %d bytes arrived (%v)", n, size, err)
	}
}

// endless sends a beginning and then the same bytes until it is cut off.
func endless(t *testing.T, begin, more string) (address string, sent *atomic.Int64) {
	t.Helper()
	sent = &atomic.Int64{}
	block := []byte(strings.Repeat(more, 1+(16<<10)/len(more)))
	return silent(t, func(c net.Conn) {
		if takeRequest(bufio.NewReader(c)) != nil {
			return
		}
		for p, err := []byte(begin), error(nil); err == nil; p = block {
			var n int
			n, err = c.Write(p)
			sent.Add(int64(n))
		}
	}), sent
}

// What has no end is ended, in bounded memory: the client gets a typed error,
// or another provider's answer. R20.
func TestEndlessAnswers(t *testing.T) {
	f := func(name, begin, more string) {
		t.Run(name, func(t *testing.T) {
			address, sent := endless(t, begin, more)
			good := fakeprovider.Start(t)
			set := serves(good, good)
			set.Providers[0].APIBase = "http://" + address + "/v1"
			r := start(t, set)
			if got := r.post(chat, helloSSE); got.status != 200 || got.header.Get("X-Llm-Proxy-Provider") != "b" {
				t.Errorf("%d %.200s", got.status, got.body)
			}
			set = &config.Set{Version: 2, Providers: set.Providers[:1], Credentials: set.Credentials}
			r.source.set.Store(set)
			if _, err := r.live.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.post(chat, helloSSE); got.status != 502 || got.code(t) != "upstream_error" {
				t.Errorf("alone: %d %.200s", got.status, got.body)
			}
			if n := sent.Load(); n > 64<<20 {
				t.Errorf("%d MB were taken", n>>20)
			}
		})
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	const sse = ok + "Content-Type: text/event-stream\r\n"
	f("status line", "HTTP/1.1 200 O", "K")
	f("header line", ok+"X-Endless: ", "x")
	f("header", ok, "X-Endless: x\r\n")
	f("interim answers", "", "HTTP/1.1 103 Early Hints\r\n\r\n")
	f("chunk size", sse+"Transfer-Encoding: chunked\r\n\r\n", "0")
	f("chunk extension", sse+"Transfer-Encoding: chunked\r\n\r\n2;", "x")
	f("line", sse+"\r\ndata: ", "x")
	f("comment", sse+"\r\n: ", "x")
	f("lines of one event", sse+"\r\n", "data: x\n")
	f("trailer", ok+"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X-Endless: x\r\n")
}

// An endless line after the commit point ends the stream in an error event. R20.
func TestEndlessLineMidStream(t *testing.T) {
	address, _ := endless(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"+chunk("a")+"data: ", "x")
	set := serves()
	set.Providers = []config.Provider{provider(1, "a", "http://"+address+"/v1")}
	r := start(t, set)
	before := heap()
	got := r.post(chat, helloSSE)
	if h := listen(t, got.body); h.text != "a" || h.failed != "upstream_stream_error" || h.done || len(got.body) > 2000 {
		t.Errorf("%+v of %.300s", h, got.body)
	}
	if grown := int64(heap()) - int64(before); grown > 10<<20 {
		t.Errorf("%d MB of heap are kept", grown>>20)
	}
}

// Streams arrive as they were sent, whatever their lines are made of and
// however they are cut into pieces: 20 of 20. R22.
func TestStreamShapes(t *testing.T) {
	const events = ": comment\n\n" + "event: message\nid: 7\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é–日本🙂\"}}]}\n\n" +
		"data:{\"choices\":\ndata: []}\n\n" + "retry: 10\n\n" + ":\n\n"
	const tail = finish + usageOnly + doneMark // with usage, so that nobody counts the tokens of 4 MiB
	payloads := map[string]string{
		"small":      events + tail,
		"1 MiB line": events + chunk(strings.Repeat("й", 512<<10)) + tail,
		"4 MiB line": events + chunk(strings.Repeat("x", 4<<20)) + tail,
		"many":       strings.Repeat(events, 2000) + tail,
	}
	shapes := map[string]func(string) fakeprovider.Answer{
		"LF":   func(s string) fakeprovider.Answer { return fakeprovider.Events(s) },
		"CRLF": func(s string) fakeprovider.Answer { return fakeprovider.Events(s).WithCRLF() },
		"CR":   func(s string) fakeprovider.Answer { return fakeprovider.Events(s).WithCR() },
		"until close": func(s string) fakeprovider.Answer {
			a := fakeprovider.Events(s)
			a.Framing = fakeprovider.UntilClose
			return a
		},
		"split": func(s string) fakeprovider.Answer {
			a := fakeprovider.Events(s)
			if a.Split = 1; len(s) > 10_000 {
				a.Split = 16<<10 - 1 // an odd number splits two-byte characters
			}
			return a
		},
	}
	p := fakeprovider.Start(t)
	r := start(t, serves(p), func(o *server.Options, _ *route.Builder) { o.MaxEventBytes = 8 << 20 })
	passed := 0
	for payload, text := range payloads {
		for shape, make := range shapes {
			a := make(text)
			p.Script(a)
			got := r.post(chat, `{"model":"gpt-4","stream":true,"stream_options":{"include_usage":true}}`)
			if want := a.Parts[0]; got.err != nil || string(got.body) != want {
				t.Errorf("%s, %s: %d bytes (%v), want %d; first difference at %d", payload, shape, len(got.body), got.err, len(want), difference(got.body, want))
				continue
			}
			passed++
		}
	}
	if passed != 20 {
		t.Errorf("%d of 20", passed)
	}
}

// A client that gets the events one by one gets them at the pace of the
// provider, however small the provider's writes are. R22, R23.
func TestEventsOfOneByteWrites(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	gate := make(chan struct{})
	a := fakeprovider.Events(chunk("é"), chunk("🙂"), finish, doneMark)
	a.Split, a.Gate = 1, gate
	p.Script(a)
	c := r.dial(chat, helloSSE)
	defer c.Close()
	for _, part := range a.Parts {
		gate <- struct{}{}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second * slack))
		readUntil(t, c, part)
	}
}
