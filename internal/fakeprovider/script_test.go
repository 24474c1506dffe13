package fakeprovider

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func readAll(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestScriptLines(t *testing.T) {
	f := func(script, body, want string) {
		t.Helper()
		h, err := ParseScript(script)
		if err != nil {
			t.Fatal(err)
		}
		p := Start(t)
		p.ScriptFunc(h)
		c := dial(t, p)
		say(t, c, "POST /v1/chat/completions HTTP/1.1\r\nHost: f\r\nConnection: close\r\nContent-Length: "+itoa(len(body))+"\r\n\r\n"+body)
		if got, _ := io.ReadAll(c); !strings.Contains(string(got), want) {
			t.Errorf("%q: got %q, want %q in it", script, got, want)
		}
	}
	f("", `{}`, "Hello from the fake provider.")
	f("status=503", `{}`, "HTTP/1.1 503 Service Unavailable\r\n")
	f("status=429 retry-after=1", `{}`, "retry-after: 1\r\n")
	f("status=204", `{}`, "HTTP/1.1 204 No Content\r\n")
	f(`body={"a":1} type=text/plain`, `{}`, "Content-Type: text/plain\r\n\r\n"+`{"a":1}`)
	f("header=x-a:b+c", `{}`, "x-a: b c\r\n")
	f("redirect=http://127.0.0.1:1/", `{}`, "Location: http://127.0.0.1:1/\r\n")
	f("text=Hel|lo,+you", `{}`, `"content":"Hello, you"`)
	f("finish=length delay=1ms first=1ms gap=1ms", `{}`, `"finish_reason":"length"`)
	f("split=1 no-end", `{"stream":true}`, "1\r\nd\r\n1\r\na\r\n")
	f("text=a|b no-done no-finish no-usage", `{"stream":true}`, "\"b\"},\"finish_reason\":null,\"index\":0,\"logprobs\":null}],\"created\":1700000000,\"id\":\"fake-1\",\"model\":\"\",\"object\":\"chat.completion.chunk\"}\n\n\r\n0\r\n")
	f("crlf", `{"stream":true}`, "}\r\n\r\n\r\n")
	f("cr cut=1 half by=fin", `{"stream":true}`, "}\r\r\r\n")
	f("gzip chunked", `{}`, "Content-Encoding: gzip\r\n")
	f("until-close", `{}`, "\r\nConnection: close\r\n")
	f("missing=1", `{}`, "Content-Length: ")
	f("extra=more end=fin", `{}`, "}more")
	f("interim=103", `{}`, "HTTP/1.1 103 Interim\r\n")
	f("garbage", `{}`, "this is not HTTP")
	f("huge-header=70000", `{}`, strings.Repeat("h", 70000))
	f("refuse-stream-options", `{"stream_options":{}}`, "400 Bad Request")
	f("refuse-prefill", `{"messages":[{"role":"user"},{"role":"assistant"}]}`, "prefill_unsupported")
	f("refuse-prefill", `{"messages":[{"role":"user"}]}`, "Hello from the fake provider.")
	f("status=400 code=context_length_exceeded", `{}`, `"code":"context_length_exceeded"`)
	f("status=429 retry-date=1h", `{}`, "Retry-After: "+time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006"))
	f("usage=21/34", `{}`, `"total_tokens":55`)
	f("bad-event=2", `{"stream":true}`, "\"choices\":[{\"delta\n\n\r\n")
	f("text=Hi cut=1 torn", `{"stream":true}`, "\r\nae\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}")
	f("split=100 drip=1ms", `{}`, "Hello from the fake provider.")
}

// Instead of an answer the connection ends, in one way or another.
func TestScriptWithoutAnswer(t *testing.T) {
	f := func(script string, orderly bool) {
		t.Helper()
		h, err := ParseScript(script)
		if err != nil {
			t.Fatal(err)
		}
		p := Start(t)
		p.Handle(h)
		c := dial(t, p)
		say(t, c, post("/v1/chat/completions", "{}"))
		if got, err := io.ReadAll(c); len(got) > 0 || (err == nil) != orderly {
			t.Errorf("%q: got %q, %v", script, got, err)
		}
	}
	f("instead=fin", true)
	f("instead=rst", false)
}

func TestScriptFaults(t *testing.T) {
	for _, script := range []string{"nonsense", "status=x", "delay=5", "cut=x", "by=never", "instead=never", "usage=1", "bad-event=x", "retry-date=soon"} {
		if _, err := ParseScript(script); err == nil {
			t.Errorf("%q was taken", script)
		}
	}
}

func TestControl(t *testing.T) {
	p := Start(t)
	control := httptest.NewServer(p.Control())
	defer control.Close()
	defer control.Client().CloseIdleConnections()
	do := func(method, path, body string) (int, string) {
		t.Helper()
		q, err := http.NewRequest(method, control.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := control.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if status, _ := do("GET", "/gone", ""); status != http.StatusConflict {
		t.Errorf("gone without a request: %d", status)
	}
	if status, _ := do("POST", "/script", "nonsense"); status != http.StatusBadRequest {
		t.Errorf("a bad script: %d", status)
	}
	do("POST", "/script", "status=500\nstatus=501")
	for _, want := range []int{500, 501, 200} {
		if resp, _, err := fetch(t, p, "POST", "/v1/chat/completions", `{"a":"é"}`); err != nil || resp.StatusCode != want {
			t.Errorf("got %v, %v, want %d", resp, err, want)
		}
	}
	do("POST", "/script", "end=silent")
	c := dial(t, p)
	say(t, c, post("/v1/chat/completions", "{}"))
	for range 4 {
		p.Next(t)
	}
	c.Close()
	if status, _ := do("GET", "/gone", ""); status != http.StatusOK {
		t.Errorf("gone: %d", status)
	}
	_, text := do("GET", "/seen", "")
	var list []seen
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 4 || list[2].Body != `{"a":"é"}` || list[0].Target != "/v1/chat/completions" {
		t.Errorf("seen %s, %v", text, err)
	}
	do("POST", "/handle", "status=418")
	if resp, _, err := fetch(t, p, "GET", "/v1/models", ""); err != nil || resp.StatusCode != 418 {
		t.Errorf("after handle: %v, %v", resp, err)
	}
	if status, _ := do("POST", "/handle", "nonsense"); status != http.StatusBadRequest {
		t.Errorf("a bad handle: %d", status)
	}
	do("POST", "/reset", "")
	if p.Count() != 0 {
		t.Error("requests left after a reset")
	}
}
