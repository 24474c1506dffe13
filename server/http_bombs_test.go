package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// A client that is slow, in whatever way, is dropped when its time is over,
// and good clients do not notice it. H03, H04.
func TestSlowClients(t *testing.T) {
	const within = 400 * time.Millisecond
	p := fakeprovider.Start(t)
	r := start(t, serves(p), func(o *server.Options, _ *route.Builder) { o.ReadTimeout, o.IdleTimeout = within, within })
	head := httpRequest(chat, hello)
	head, body := head[:len(head)-len(hello)], hello
	type slow struct {
		name  string
		first string // at once
		drip  string // a byte every 20 ms
		again bool   // an answer comes before the silence
	}
	kinds := []slow{
		{name: "silent"},
		{name: "half a head", first: head[:20]},
		{name: "a head that drips", drip: head},
		{name: "header lines that drip", first: head[:len(head)-2], drip: strings.Repeat("X-A: b\r\n", 1000)},
		{name: "no body", first: head},
		{name: "a body that drips", first: head, drip: body},
		{name: "chunks that drip", first: "POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\nTransfer-Encoding: chunked\r\n\r\n", drip: strings.Repeat("1\r\n \r\n", 1000)},
		{name: "idle after an answer", first: head + body, again: true},
	}
	const each = 25
	dropped := make(chan string, each*len(kinds))
	for _, k := range kinds {
		for range each {
			c := r.dialRaw(t)
			go func() {
				c.say(k.first)
				if k.again {
					if got, err := c.answer("POST"); err != nil || got.status != 200 {
						dropped <- fmt.Sprintf("%s: %d (%v)", k.name, got.status, err)
						return
					}
				}
				over := make(chan struct{})
				go func() {
					defer close(over)
					_, _ = io.Copy(io.Discard, c.br)
				}()
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				began := time.Now()
				for i := 0; ; i++ {
					select {
					case <-over:
						if took := time.Since(began); took > within+2*time.Second*slack {
							dropped <- fmt.Sprintf("%s: dropped after %v", k.name, took)
							return
						}
						dropped <- ""
						return
					case <-tick.C:
						if i < len(k.drip) {
							c.say(k.drip[i : i+1])
						}
					}
				}
			}()
		}
	}
	for range 20 {
		before := time.Now()
		if got := r.post(chat, hello); got.status != 200 || time.Since(before) > time.Second*slack {
			t.Errorf("a good client: %d after %v", got.status, time.Since(before))
		}
	}
	for range cap(dropped) {
		if fault := <-dropped; fault != "" {
			t.Error(fault)
		}
	}
	eventually(t, "nothing in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
}

// Headers beyond the limits are refused before anything else, in few bytes and
// in bounded memory. H05.
func TestHeaderBombs(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	f := func(name, lines string) {
		t.Helper()
		before := heap()
		c := r.dialRaw(t)
		c.say("POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\n")
		c.say(lines)
		c.say("Content-Length: 0\r\n\r\n")
		got, err := c.answer("POST")
		if err != nil || got.status != 431 && got.status != 400 {
			t.Errorf("%s: %d %s (%v)", name, got.status, got.body, err)
		} else if got.code(t); !c.closed() {
			t.Errorf("%s: the connection stays open", name)
		}
		if grown := int64(heap()) - int64(before); grown > 4<<20 {
			t.Errorf("%s: %d MB of heap", name, grown>>20)
		}
	}
	f("one of 64 KiB", "X-Big: "+strings.Repeat("x", 64<<10)+"\r\n")
	f("one of 10 MiB", "X-Big: "+strings.Repeat("x", 10<<20)+"\r\n")
	f("a name of 64 KiB", strings.Repeat("X", 64<<10)+": x\r\n")
	f("10,000 lines", strings.Repeat("X-Many: 1\r\n", 10_000))
	f("a fold of 10,000 lines", "X-Folded: x\r\n"+strings.Repeat(" x\r\n", 10_000))
	f("cookies", strings.Repeat("Cookie: "+strings.Repeat("a=b; ", 100)+"\r\n", 100))
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
	c := r.dialRaw(t)
	c.say("GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, err := c.answer("GET"); err != nil || got.status/100 != 4 {
		t.Errorf("a path of 64 KiB: %d (%v)", got.status, err)
	}
}

// More header lines than any client has are a bomb for whatever looks at them. H05.
func TestManyHeaderLines(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	f := func(n int, refused bool) {
		t.Helper()
		c := r.dialRaw(t)
		c.say("POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\n")
		c.say(strings.Repeat("A: b\r\n", n) + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hello), hello))
		if got, err := c.answer("POST"); err != nil || (got.status == 431) != refused || got.status != 200 && got.status != 431 {
			t.Errorf("%d lines: %d %s (%v)", n, got.status, got.body, err)
		}
	}
	f(50, false)
	f(90, false)
	f(201, true)
	f(2000, true)
}

// Bodies made to hurt a JSON parser are refused quickly with a typed error, or
// pass untouched; what decides about a model is what is sent. H06.
func TestJSONBombs(t *testing.T) {
	p := fakeprovider.Start(t)
	p.Handle(always(fakeprovider.OK(`{"choices":[]}`)))
	r := start(t, serves(p), func(o *server.Options, _ *route.Builder) { o.MaxBodyBytes = 8 << 20 })
	f := func(name, body string, status int) {
		t.Helper()
		before := p.Count()
		began := time.Now()
		got := r.post(chat, body)
		took := time.Since(began)
		if got.status != status {
			t.Errorf("%s: %d %.200s, want %d", name, got.status, got.body, status)
		}
		if took > 200*time.Millisecond*slack+time.Duration(len(body)>>20)*100*time.Millisecond*slack {
			t.Errorf("%s: took %v", name, took)
		}
		if asked := p.Count() - before; (status == 200) != (asked == 1) {
			t.Errorf("%s: the provider was asked %d times", name, asked)
		}
		if status != 200 {
			got.code(t)
		} else if want := strings.Replace(body, `"gpt-4"`, `"real-gpt-4"`, 1); string(p.Last().Body) != want {
			t.Errorf("%s: the provider was sent %.200q", name, p.Last().Body)
		}
	}
	deep := func(n int) string {
		return `{"model":"gpt-4","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	f("100 deep", deep(100), 200)
	f("100,000 deep", deep(100_000), 400)
	f("a million deep, unclosed", strings.Repeat("[", 1_000_000), 400)
	f("100,000 objects deep", `{"model":"gpt-4","x":`+strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000)+"}", 400)
	f("100,000 members", `{"model":"gpt-4"`+strings.Repeat(`,"x":1`, 100_000)+"}", 200)
	f("a number of a million digits", `{"model":"gpt-4","x":`+strings.Repeat("9", 1_000_000)+`}`, 200)
	f("an exponent of a million", `{"model":"gpt-4","x":1e1000000}`, 200)
	f("a string of 4 MiB", `{"model":"gpt-4","x":"`+strings.Repeat("x", 4<<20)+`"}`, 200)
	f("a model of 1 MiB", `{"model":"`+strings.Repeat("x", 1<<20)+`"}`, 400)
	f("50 MB", `{"model":"gpt-4","x":"`+strings.Repeat("x", 50<<20)+`"}`, 413)
	f("two models", `{"model":"gpt-4","model":"gpt-5"}`, 400)
	f("two models, one escaped", `{"model":"gpt-4","\u006dodel":"gpt-5"}`, 400)
	f("a model in other case", `{"Model":"gpt-4"}`, 400)
	f("a model beside one in other case", `{"model":"gpt-4","MODEL":"gpt-5"}`, 200)
	f("invalid UTF-8", "{\"model\":\"gpt-4\",\"x\":\"\xff\xfe\"}", 200)
	f("half a surrogate", `{"model":"gpt-4","x":"\ud800"}`, 200)
	f("NUL", "{\"model\":\"gpt-4\",\"x\":\"\x00\"}", 400)
	f("a name with NUL", `{"model\u0000":"gpt-5","model":"gpt-4"}`, 400)
	f("BOM", "\ufeff"+`{"model":"gpt-4"}`, 400)
	f("something behind", `{"model":"gpt-4"}{"model":"gpt-5"}`, 400)
	f("a comment", `{"model":"gpt-4"/**/}`, 400)
	f("a trailing comma", `{"model":"gpt-4",}`, 400)
	f("single quotes", `{'model':'gpt-4'}`, 400)
	f("NaN", `{"model":"gpt-4","x":NaN}`, 400)
	if got := r.post(chat, `{"mod\u0065l":"gpt\u002d5"}`, "Authorization: Bearer "+restrictedKey); got.status != 403 {
		t.Errorf("an escaped model passes the allow list: %d %s", got.status, got.body)
	}
}

// A length beyond the limit is refused as soon as it is declared. H06.
func TestDeclaredLength(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	c := r.dialRaw(t)
	c.say("POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\nContent-Length: 50000000\r\n\r\n" + strings.Repeat("[", 8<<10))
	if got, err := c.answer("POST"); err != nil || got.status != 413 || got.code(t) != "request_too_large" {
		t.Errorf("%d %s (%v)", got.status, got.body, err)
	}
}
