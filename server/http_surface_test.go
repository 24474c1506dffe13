package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
)

// raw is a connection on which a test says what it wants.
type raw struct {
	t *testing.T
	net.Conn
	br *bufio.Reader
}

// dialRaw opens a bare connection that ends with the test.
func (r *rig) dialRaw(t *testing.T) *raw {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second * slack))
	return &raw{t, c, bufio.NewReader(c)}
}

// say writes text; a gateway that has hung up already has said why.
func (c *raw) say(text string) { _, _ = io.WriteString(c, text) }

// answer reads one answer; io.EOF when the gateway closed the connection.
func (c *raw) answer(method string) (answer, error) {
	resp, err := http.ReadResponse(c.br, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.header.Get("X-Request-Id") == "" {
		c.t.Errorf("%d without x-request-id: %v", a.status, a.header)
	}
	a.body, a.err = io.ReadAll(resp.Body)
	return a, a.err
}

// closed reports whether the gateway closes the connection without another word.
func (c *raw) closed() bool {
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second * slack))
	n, err := c.br.Read(make([]byte, 1))
	return n == 0 && !errors.Is(err, os.ErrDeadlineExceeded)
}

// smuggled stands behind a message whose end can be understood in two ways. It
// must never be taken for a request.
const smuggled = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\nContent-Length: 19\r\n\r\n" + `{"model":"smuggle"}`

// A message that two parsers could understand in two ways is refused, and what
// stands behind it on the connection is not looked at. H01, H02.
func TestAmbiguousRequests(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].ModelMapping = nil
	r := start(t, set)
	const key = "Authorization: Bearer " + clientKey + "\r\n"
	const length = "Content-Length: 17\r\n"
	const body = `{"model":"gpt-4"}` // 17 bytes
	f := func(name, head, body string) {
		t.Run(name, func(t *testing.T) {
			c := r.dialRaw(t)
			c.say(head + body + smuggled)
			got, err := c.answer("POST")
			if err == nil {
				got.code(t)
			}
			if err == nil && got.status/100 != 4 && got.status != 505 {
				t.Errorf("%d %s", got.status, got.body)
			}
			if !c.closed() {
				t.Error("the connection stays open")
			}
		})
	}
	post := func(lines string) string {
		return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + key + lines + "\r\n"
	}
	chunks := "11\r\n" + body + "\r\n0\r\n\r\n"

	f("two different lengths", post("Content-Length: 17\r\nContent-Length: 18\r\n"), body)
	f("two equal lengths", post("Content-Length: 17\r\nContent-Length: 17\r\n"), body)
	f("a list of lengths", post("Content-Length: 17, 17\r\n"), body)
	f("length with a sign", post("Content-Length: +17\r\n"), body)
	f("length below zero", post("Content-Length: -17\r\n"), body)
	f("length in hex", post("Content-Length: 0x11\r\n"), body)
	f("length with a space inside", post("Content-Length: 1 7\r\n"), body)
	f("length over 64 bits", post("Content-Length: 18446744073709551633\r\n"), body)
	f("space before the length's colon", post("Content-Length : 17\r\n"), body)
	f("tab before the coding's colon", post("Transfer-Encoding\t: chunked\r\n"), chunks)
	f("unknown coding", post("Transfer-Encoding: xchunked\r\n"), chunks)
	f("two codings", post("Transfer-Encoding: gzip, chunked\r\n"), chunks)
	f("chunked not last", post("Transfer-Encoding: chunked, gzip\r\n"), chunks)
	f("coding in HTTP/1.0", strings.Replace(post("Transfer-Encoding: chunked\r\n"), "1.1", "1.0", 1), chunks)
	f("vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n"), chunks)
	f("chunk size of letters", post("Transfer-Encoding: chunked\r\n"), "xy\r\n"+body+"\r\n0\r\n\r\n")
	f("chunk size with 0x", post("Transfer-Encoding: chunked\r\n"), "0x11\r\n"+body+"\r\n0\r\n\r\n")
	f("chunk size with a sign", post("Transfer-Encoding: chunked\r\n"), "+11\r\n"+body+"\r\n0\r\n\r\n")
	f("chunk size over 64 bits", post("Transfer-Encoding: chunked\r\n"), "10000000000000011\r\n"+body+"\r\n0\r\n\r\n")
	f("chunk longer than said", post("Transfer-Encoding: chunked\r\n"), "10\r\n"+body+"\r\n0\r\n\r\n")
	f("LF in a chunk extension", post("Transfer-Encoding: chunked\r\n"), "11;a=\nb\r\n"+body+"\r\n0\r\n\r\n")
	f("a key in a trailer", "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "11\r\n"+body+"\r\n0\r\n"+key+"\r\n")
	f("no host", "POST /v1/chat/completions HTTP/1.1\r\n"+key+length+"\r\n", body)
	f("two hosts", post("Host: y\r\n"+length), body)
	f("NUL in a value", post("X-A: \x00\r\n"+length), body)
	f("CR in a value", post("X-A: a\rContent-Length: 0\r\n"+length), body)
	f("NUL in a name", post("X\x00A: a\r\n"+length), body)
	f("no colon", post("Nonsense\r\n"+length), body)
	f("a line that begins with a colon", post(": a\r\n"+length), body)
	f("a space before the first line", "POST /v1/chat/completions HTTP/1.1\r\n X: y\r\nHost: x\r\n"+key+length+"\r\n", body)
	f("HTTP/1.2", strings.Replace(post(length), "HTTP/1.1", "HTTP/1.2", 1), body)
	f("HTTP/2.0", strings.Replace(post(length), "HTTP/1.1", "HTTP/2.0", 1), body)
	f("HTTP/0.9", "GET /v1/models\r\n", "")
	f("no version", strings.Replace(post(length), " HTTP/1.1", "", 1), body)
	f("two spaces in the request line", strings.Replace(post(length), "POST ", "POST  ", 1), body)
	f("a space in the path", strings.Replace(post(length), "/v1/chat", "/v1/ chat", 1), body)
	f("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "")
	f("TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\r\n\r\n")
	for _, q := range p.Requests() {
		t.Errorf("the provider was sent %q", q.Body)
	}
}

// What means one thing only, in an unusual way, works or is refused; either
// way nothing behind it is swallowed or made of it. H01, H02.
func TestUnusualRequests(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].ModelMapping = nil
	r := start(t, set)
	const key = "Authorization: Bearer " + clientKey + "\r\n"
	const body = `{"model":"gpt-4"}`
	f := func(name, head, body string) {
		t.Run(name, func(t *testing.T) {
			before := p.Count()
			c := r.dialRaw(t)
			c.say(head + body)
			got, err := c.answer("POST")
			if err != nil || got.status != 200 && got.status/100 != 4 {
				t.Fatalf("%d %s (%v)", got.status, got.body, err)
			}
			switch n := p.Count() - before; {
			case got.status == 200 && (n != 1 || string(p.Last().Body) != `{"model":"gpt-4"}`):
				t.Errorf("the provider was asked %d times, for %q", n, p.Last().Body)
			case got.status != 200 && n != 0:
				t.Errorf("refused, yet the provider was asked for %q", p.Last().Body)
			}
			if got.header.Get("Connection") == "close" {
				return
			}
			c.say(smuggled) // an honest next request now
			if next, err := c.answer("POST"); err != nil || next.status != 200 || p.Last().JSON()["model"] != "smuggle" {
				t.Errorf("the next request: %d %s (%v)", next.status, next.body, err)
			}
		})
	}
	post := func(lines string) string {
		return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + key + lines + "\r\n"
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	chunks := "11\r\n" + body + "\r\n0\r\n\r\n"
	f("plain", post(length), body)
	f("chunked", post("Transfer-Encoding: chunked\r\n"), chunks)
	f("chunked in capitals", post("Transfer-Encoding: CHUNKED\r\n"), chunks)
	f("one byte a chunk", post("Transfer-Encoding: chunked\r\n"), "1\r\n"+strings.Join(strings.Split(body, ""), "\r\n1\r\n")+"\r\n0\r\n\r\n")
	f("a chunk extension", post("Transfer-Encoding: chunked\r\n"), "11;name=value\r\n"+body+"\r\n0\r\n\r\n")
	f("leading zeros", post("Content-Length: 00017\r\n"), body)
	f("a folded line", post("X-A: a\r\n b\r\n"+length), body)
	f("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n"), chunks)
	f("empty lines before", "\r\n\r\n"+post(length), body)
	f("a full address", strings.Replace(post(length), " /v1", " http://x/v1", 1), body)
	f("another host's address", strings.Replace(post(length), " /v1", " http://evil.example/v1", 1), body)
	f("an upgrade that nobody offers", post("Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"+length), body)
	f("websocket", post("Connection: Upgrade\r\nUpgrade: websocket\r\n"+length), body)
	f("names of the connection", post("Connection: authorization, content-length\r\n"+length), body)
	f("expect an unknown thing", post("Expect: 200-ok\r\n"+length), body)
}

// Chunks win over a length that stands beside them, and the connection ends
// after the answer: nothing behind such a message is believed (RFC 9112, 6.3). H01.
func TestLengthBesideChunks(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	lines := []string{"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}
	for _, order := range []string{lines[0] + lines[1], lines[1] + lines[0]} {
		c := r.dialRaw(t)
		before := p.Count()
		c.say("POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\n" + order + "\r\n11\r\n" + `{"model":"gpt-4"}` + "\r\n0\r\n\r\n" + smuggled)
		got, err := c.answer("POST")
		if err != nil || got.status != 200 && got.status != 400 || !c.closed() {
			t.Errorf("%d %s (%v)", got.status, got.body, err)
		}
		if n := p.Count() - before; n > 1 || n == 1 && string(p.Last().Body) != `{"model":"real-gpt-4"}` {
			t.Errorf("the provider was asked %d times, for %q", n, p.Last().Body)
		}
	}
}

// A client that asks first may send its body, unless it would be refused.
func TestExpectContinue(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	head := func(key string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", chat, key, len(hello))
	}
	c := r.dialRaw(t)
	c.say(head(clientKey))
	if line, err := c.br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q (%v)", line, err)
	}
	_, _ = c.br.ReadString('\n')
	c.say(hello)
	if got, err := c.answer("POST"); err != nil || got.status != 200 {
		t.Errorf("%d %s (%v)", got.status, got.body, err)
	}
}

// No spelling of a path makes something else of it than what it says, and none
// is an error of the gateway's. H07.
func TestPathTricks(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	const key = "Authorization: Bearer " + clientKey + "\r\n"
	for _, path := range []string{
		"/v1/../metrics", "/v1/../health", "/v1/models/../../metrics", "//metrics", "/./metrics", "/metrics/", "/METRICS", "/metrics%00", "/metrics%0d%0aX: y",
		"/%6detrics", "/v1/..%2fmetrics", "/v1/%2e%2e/metrics", "/v1/..\\metrics", "/v1;/../metrics", "/metrics;a=b", "/metrics.json", "/..", "/%", "/%zz", "/%c0%ae%c0%ae/metrics",
		"/admin/v1/providers", "/v1/../admin/v1/providers", "/admin", "/debug/pprof/", "/.env", "/.git/config", "*", "/?/metrics", "/#/metrics", "/v1/chat/completions/", "/v1/chat//completions",
		"/v1/chat/completions%2f", "/" + strings.Repeat("../", 100) + "etc/passwd", "/" + strings.Repeat("a/", 2000), "/v1/models/" + strings.Repeat("%2e%2e%2f", 50) + "x",
		"http://x/v1/../metrics", "http://[::1]:1/metrics/x", "http://x:y@z/nothing", "file:///etc/passwd",
	} {
		for _, method := range []string{"GET", "POST"} {
			c := r.dialRaw(t)
			c.say(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + key + "Content-Length: 2\r\n\r\n{}")
			got, err := c.answer(method)
			if err != nil || got.status/100 != 4 {
				t.Errorf("%s %.80q: %d %.200s (%v)", method, path, got.status, got.body, err)
				continue
			}
			got.code(t)
			if got.header.Get("Location") != "" || bytes.Contains(got.body, []byte("llm_proxy_")) {
				t.Errorf("%s %.80q: %v %.200s", method, path, got.header, got.body)
			}
		}
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
}

// Headers by which other gateways were led elsewhere lead nowhere.
func TestHeadersDoNotRoute(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	for _, line := range []string{
		"X-Original-URL: /metrics", "X-Rewrite-URL: /metrics", "X-Forwarded-Path: /metrics", "X-HTTP-Method-Override: GET",
		"X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /admin", "Forwarded: host=evil.example",
	} {
		if got := r.post(chat, hello, line); got.status != 200 || !bytes.Contains(got.body, []byte("choices")) {
			t.Errorf("%s: %d %s", line, got.status, got.body)
		}
		if got := r.get("/v1/nothing", line); got.status != 404 {
			t.Errorf("%s: %d", line, got.status)
		}
	}
}

// A method that a path does not have is a typed 405, and nothing of the
// request comes back. H08.
func TestMethods(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	for _, method := range []string{"TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "GET", "PROPFIND", "post", "X"} {
		for path, want := range map[string]int{chat: 405, "/v1/nothing": 404} {
			c := r.dialRaw(t)
			c.say(method + " " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\nX-Echo: canary-echo\r\nContent-Length: 2\r\n\r\n{}")
			got, err := c.answer(method)
			if err != nil || got.status/100 != 4 || got.status != want && got.status != 400 && got.status != 405 {
				t.Errorf("%s %s: %d %s (%v), want %d", method, path, got.status, got.body, err, want)
				continue
			}
			if method != "HEAD" {
				got.code(t)
			}
			if bytes.Contains(got.body, []byte("canary")) || strings.Contains(fmt.Sprint(got.header), "canary") {
				t.Errorf("%s %s echoes: %v %s", method, path, got.header, got.body)
			}
		}
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
}

// No page of another origin may use a browser's user as its hand. H10.
func TestNoCrossOriginAccess(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	check := func(what string, got answer) {
		t.Helper()
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s: %s", what, name, got.header.Get(name))
			}
		}
	}
	for _, origin := range []string{"https://evil.example", "null", "http://localhost:3000"} {
		check("a request", r.post(chat, hello, "Origin: "+origin))
		check("metrics", r.get("/metrics", "Origin: "+origin))
		for _, path := range []string{chat, "/v1/models", "/health"} {
			q := r.request("OPTIONS", path, "", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
			got := r.do(q)
			if check("a preflight", got); got.status/100 == 2 {
				t.Errorf("a preflight for %s: %d", path, got.status)
			}
		}
	}
}

// HTTP/1.0 clients are answered by length, and keep their connection only if
// they ask for it. H11.
func TestHTTP10(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	request := strings.Replace(httpRequest(chat, hello), "HTTP/1.1", "HTTP/1.0", 1)
	c := r.dialRaw(t)
	c.say(request)
	got, err := c.answer("POST")
	if err != nil || got.status != 200 || !c.closed() || got.header.Get("Content-Length") == "" {
		t.Errorf("%d %v %s (%v)", got.status, got.header, got.body, err)
	}
	c = r.dialRaw(t)
	for range 3 {
		c.say(strings.Replace(request, "\r\n\r\n", "\r\nConnection: keep-alive\r\n\r\n", 1))
		if got, err := c.answer("POST"); err != nil || got.status != 200 || !strings.EqualFold(got.header.Get("Connection"), "keep-alive") {
			t.Errorf("kept alive: %d %v (%v)", got.status, got.header, err)
		}
	}
}

// A hundred requests sent at once are answered in order, each by its own key
// and model. H11.
func TestPipelining(t *testing.T) {
	p := fakeprovider.Start(t)
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.OK(fmt.Sprintf(`{"n":%q}`, q.JSON()["n"]))
	})
	r := start(t, serves(p))
	keys := []string{clientKey, "wrong", anotherKey, disabledKey, restrictedKey}
	wants := []int{200, 401, 200, 401, 403}
	var all strings.Builder
	for i := range 100 {
		body := fmt.Sprintf(`{"model":"gpt-5","n":"%d"}`, i)
		fmt.Fprintf(&all, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Request-Id: r%d\r\nContent-Length: %d\r\n\r\n%s", chat, keys[i%5], i, len(body), body)
	}
	c := r.dialRaw(t)
	c.say(all.String())
	for i := range 100 {
		got, err := c.answer("POST")
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if id := got.header.Get("X-Request-Id"); got.status != wants[i%5] || id != fmt.Sprintf("r%d", i) {
			t.Errorf("answer %d: %d to %s, want %d", i, got.status, id, wants[i%5])
		}
		if got.status == 200 && string(got.body) != fmt.Sprintf(`{"n":"%d"}`, i) {
			t.Errorf("answer %d: %s", i, got.body)
		}
	}
}
