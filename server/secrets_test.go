package server_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/store"
)

// No malformed key opens the door, is quoted, or reaches a provider. S01.
func TestMalformedKeys(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	for _, line := range []string{
		"", "Authorization:", "Authorization: Bearer", "Authorization: Bearer ", "Authorization: Bearer\x00" + clientKey, "Authorization: Bearer wrong-key",
		"Authorization: Basic " + clientKey, "Authorization: Digest " + clientKey, "Authorization: " + clientKey, "Authorization: Bearer Bearer " + clientKey,
		"Authorization: Bearer " + clientKey + "x", "Authorization: Bearer " + clientKey[1:], "Authorization: Bearer " + strings.ToUpper(clientKey),
		"Authorization: Bearer " + clientKey + "," + clientKey, "Authorization: Bearer " + clientKey + "\x00", "Authorization: Bearer " + clientKey + " --",
		"Authorization: Bearer ' OR '1'='1", "Authorization: Bearer " + strings.Repeat("a", 12<<10), "Authorization: Bearer " + strings.Repeat("a", 64<<10),
		"Authorization: Bearer \xff\xfe", "Authorization: Bearer " + config.HashKey(clientKey), "Authorization: Bearer " + config.Preview(clientKey),
		"Authorization: Bearer %73k-canary", "Authorization: Bearer *", "Authorization: Bearer ../" + clientKey,
		"Authorization: Bearer " + clientKey + "\r\nAuthorization: Bearer other", "Authorization: Bearer other\r\nAuthorization: Bearer " + clientKey,
		"Authorization: Bearer other\r\nX-Api-Key: " + clientKey, "Authorization : Bearer " + clientKey, "Proxy-Authorization: Bearer " + clientKey,
		"Cookie: key=" + clientKey, "Api-Key: Bearer " + clientKey, "X-Api-Key:", "X-Forwarded-Authorization: Bearer " + clientKey,
	} {
		c := r.dialRaw(t)
		if line != "" {
			line += "\r\n"
		}
		c.say("POST " + chat + "?key=" + clientKey + " HTTP/1.1\r\nHost: x\r\n" + line + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hello), hello))
		got, err := c.answer("POST")
		if err != nil || got.status != 401 && got.status != 431 && got.status != 400 {
			t.Errorf("%.80q: %d %s (%v)", line, got.status, got.body, err)
			continue
		}
		got.code(t)
		if _, value, _ := strings.Cut(strings.TrimSpace(line), ": "); bytes.Contains(got.body, []byte("canary")) || len(value) > 8 && bytes.Contains(got.body, []byte(value)) {
			t.Errorf("%.80q is quoted: %.200s", line, got.body)
		}
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
}

// Whatever a client sends, the provider's address and key are the
// configuration's. S10.
func TestClientsDoNotRedirect(t *testing.T) {
	p, evil := fakeprovider.Start(t), fakeprovider.Start(t)
	r := start(t, serves(p))
	base := evil.URL()
	body := `{"model":"gpt-4","api_base":"` + base + `","base_url":"` + base + `","api_key":"sk-evil","organization":"evil","custom_llm_provider":"evil",` +
		`"headers":{"Authorization":"Bearer sk-evil"},"extra_headers":{"X-Evil":"1"},"proxy":"` + base + `","custom_host":"` + base + `"}`
	got := r.post(chat+"?api_base="+base+"&api_key=sk-evil&base_url="+base, body,
		"Api-Key: sk-evil", "X-Api-Base: "+base, "X-Base-Url: "+base, "X-Litellm-Api-Base: "+base, "X-Portkey-Custom-Host: "+base, "Helicone-OpenAI-Api-Base: "+base,
		"X-Forwarded-Host: "+evil.Addr(), "Forwarded: host="+evil.Addr(), "X-Provider: evil", "Proxy-Authorization: Bearer sk-evil", "Cookie: evil=1", "X-Evil: 1",
		"Te: trailers", "Keep-Alive: timeout=1", "Referer: "+base)
	if got.status != 200 || evil.Count() != 0 {
		t.Fatalf("%d %s; the other host was asked %d times", got.status, got.body, evil.Count())
	}
	seen := p.Last()
	if seen.Key() != providerKey || seen.Target != "/v1/chat/completions" || seen.Header.Get("Host") != p.Addr() {
		t.Errorf("the provider was asked for %s at %s with %q", seen.Target, seen.Header.Get("Host"), seen.Key())
	}
	if want := strings.Replace(body, "gpt-4", "real-gpt-4", 1); string(seen.Body) != want {
		t.Errorf("the body was changed: %s", seen.Body)
	}
	lines := strings.Join(seen.Lines, "\n")
	for _, leaked := range []string{"evil", clientKey, evil.Addr(), "Te:", "Keep-Alive"} {
		if strings.Contains(lines, leaked) {
			t.Errorf("%s reached the provider: %s", leaked, lines)
		}
	}
}

// A line end in a value that a client, a provider or an operator chooses never
// begins a header line of its own. S15.
func TestNoHeaderInjection(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].ModelMapping = nil
	r := start(t, set)
	clean := func(what string, got answer) {
		t.Helper()
		if got.header.Get("X-Evil") != "" || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: the client was sent %v", what, got.header)
		}
		if seen := p.Last(); seen != nil && seen.Header.Get("X-Evil") != "" {
			t.Errorf("%s: the provider was sent %q", what, seen.Lines)
		}
	}
	for _, end := range []string{`\r\n`, `\n`, `\r`, `\u000d\u000a`, `\u2028`} {
		clean("model", r.post(chat, `{"model":"x`+end+`X-Evil: 1"}`))
		clean("user", r.post(chat, `{"model":"x","user":"x`+end+`X-Evil: 1"}`))
	}
	for _, path := range []string{"/v1/models/x%0d%0aX-Evil:%201", "/v1/x%0aX-Evil:1", "/v1/models/x%0d%0a%0d%0aHTTP/1.1%20200%20OK"} {
		if got := r.get(path); got.status != 404 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		} else {
			clean("path", got)
		}
	}
	for _, name := range []string{"X-Request-Id", "OpenAI-Beta", "Idempotency-Key", "Traceparent", "X-Client-Request-Id", "X-Llm-Proxy-Recovery"} {
		for _, end := range []string{"\r", "\n", "\r\n ", "\n ", "\x00", "\x0b", "\x0c"} {
			c := r.dialRaw(t)
			c.say("POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\n" + name + ": a" + end + "X-Evil: 1\r\n" +
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hello), hello))
			got, err := c.answer("POST")
			if err != nil || got.status != 200 && got.status != 400 {
				t.Errorf("%s %q: %d (%v)", name, end, got.status, err)
			}
			if end == "\n" {
				// A bare LF ends a line for a lenient reader: then it is a line of the
				// client's own, which is not among those that pass.
				got.header.Del("X-Evil")
			}
			clean(fmt.Sprintf("%s %q", name, end), got)
		}
	}
	for _, key := range []string{"sk\r\nX-Evil: 1", "sk\n", "sk\x00", "ключ"} {
		bad := *set
		bad.Version++
		bad.Providers = append([]config.Provider(nil), set.Providers...)
		bad.Providers[0].APIKey = config.Secret(key)
		r.source.set.Store(&bad)
		if _, err := r.live.Reload(t.Context()); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("a provider's key %q: %v", key, err)
		}
	}
	if got := r.post(chat, hello); got.status != 200 {
		t.Errorf("after the refused configurations: %d", got.status)
	}
	for _, line := range []string{"X-Request-Id: a\rX-Evil: 1", "X-Ratelimit-Evil: a\rX-Evil: 1", "Content-Type: application/json\rX-Evil: 1"} {
		a := fakeprovider.OK(`{"choices":[]}`)
		a.Header = []string{line}
		p.Handle(always(a))
		clean(line, r.post(chat, hello))
	}
}

// A key for some models gets no other, however it asks. S16.
func TestAllowListHasNoBypass(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p, p)
	set.Providers[1].ModelMapping = nil // serves every name
	r := start(t, set, func(_ *server.Options, b *route.Builder) { b.CutPrefix = "Proxy" })
	auth := "Authorization: Bearer " + restrictedKey
	for _, body := range []string{
		`{"model":"gpt-5"}`, `{"model":"Proxy/gpt-5"}`, `{"model":"Proxy/Proxy/gpt-4"}`, `{"model":"GPT-4"}`, `{"model":"gpt-4 "}`, `{"model":" gpt-4"}`, `{"model":"gpt-4\u0000"}`,
		`{"model":"gpt-4\n"}`, `{"model":"gpt-4/"}`, `{"model":"gpt-4*"}`, `{"model":"*"}`, `{"model":"open"}`, `{"model":"Open/x"}`, `{"model":"xopen/x"}`, `{"model":"gpt\u002d5"}`,
		`{"mod\u0065l":"gpt-5"}`, `{"model":"gpt-4","model":"gpt-5"}`, `{"model":"gpt-4","mod\u0065l":"gpt-5"}`, `{"model":["gpt-4"]}`, `{"model":{"id":"gpt-4"}}`, `{"model":"real-gpt-4"}`,
		`{"Model":"gpt-4"}`, `{"x":{"model":"gpt-4"}}`, `{"model":"gpt‑4"}`, `{"model":"ｇｐｔ-4"}`, `{"model":"gpt-4\u200b"}`, `{}`, `{"model":null}`,
	} {
		for _, path := range []string{chat, "/v1/responses", "/v1/embeddings", "/v1/moderations"} {
			if got := r.post(path+"?model=gpt-4", body, auth, "X-Model: gpt-4"); got.status/100 != 4 || got.status == 429 {
				t.Errorf("%s %s: %d %s", path, body, got.status, got.body)
			}
		}
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked for %s", p.Last().Body)
	}
	for _, model := range []string{"gpt-4", "Proxy/gpt-4", "open/x", "Proxy/open/x"} {
		if got := r.post(chat, `{"model":"`+model+`"}`, auth); got.status != 200 {
			t.Errorf("%s: %d %s", model, got.status, got.body)
		}
	}
	if got := r.get("/v1/models/gpt-5", auth); got.status != 404 {
		t.Errorf("a model that is not allowed is shown: %d %s", got.status, got.body)
	}
}

// Through every way to fail, no key, prompt or answer is in a log line, in an
// error that the gateway makes, or on a page. S20, S21, S22.
func TestSecretsStayInside(t *testing.T) {
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	set := serves(a, b)
	r := start(t, set, quick)
	quoting := func(status int, code string) fakeprovider.Answer {
		return fakeprovider.Fail(status, code, "Incorrect API key provided: "+providerKey+" for "+promptCanary)
	}
	own := func(got answer) {
		t.Helper()
		for _, canary := range []string{promptCanary, answerCanary, clientKey, providerKey, a.Addr(), b.Addr()} {
			if bytes.Contains(got.body, []byte(canary)) || strings.Contains(fmt.Sprint(got.header), canary) {
				t.Errorf("the client is told %s: %d %v %.300s", canary, got.status, got.header, got.body)
			}
		}
	}
	both := func(x fakeprovider.Answer) {
		a.Handle(always(x))
		b.Handle(always(x))
	}
	said := fakeprovider.OK(`{"choices":[{"message":{"content":"` + answerCanary + `"}}]}`)
	for _, body := range []string{hello, helloSSE} {
		for _, bad := range []fakeprovider.Answer{
			quoting(401, "invalid_api_key"), quoting(403, "forbidden"),
			{Delay: time.Hour},
			{Raw: "HTTP/1.1 200 OK\r\n" + answerCanary + "\r\n\r\n", Ending: fakeprovider.FIN},
			{Raw: answerCanary, Ending: fakeprovider.RST},
			said.CutInside(0, fakeprovider.FIN), said.CutInside(0, fakeprovider.Silent),
			fakeprovider.OK("<html>" + answerCanary),
			{Header: []string{"Content-Length: " + answerCanary}},
			{Header: []string{"X-Big: " + strings.Repeat(answerCanary, 8000)}},
			fakeprovider.Events(": " + answerCanary + "\n\n"),
			fakeprovider.Events("data: {" + answerCanary + "\n\n"),
			fakeprovider.Events(fakeprovider.Data(`{"error":{"message":"` + answerCanary + `"}}`)),
		} {
			both(bad)
			own(r.post(chat, body))
		}
	}
	for _, status := range []int{400, 404, 429, 500, 503} { // do looks for the keys
		both(quoting(status, "x"))
		r.post(chat, hello)
	}
	for _, broken := range []fakeprovider.Answer{
		fakeprovider.Events(chunk(answerCanary), chunk("b")).CutInside(1, fakeprovider.RST),
		fakeprovider.Events(chunk(answerCanary), "data: "+answerCanary+"\n\n", fakeprovider.Data(`{"error":{"message":"x"}}`)),
	} {
		both(broken)
		for _, recovery := range []string{"none", "splice", "hold"} {
			r.post(chat, helloSSE, "X-Llm-Proxy-Recovery: "+recovery)
		}
	}
	for _, bad := range []string{`{"model":"` + promptCanary + `"}`, `{"model":1,"x":"` + promptCanary, promptCanary, `["` + promptCanary + `"]`} {
		r.post(chat, bad)
	}
	for _, raw := range []string{
		"POST " + chat + " HTTP/1.1\r\nAuthorization: Bearer " + clientKey + "\r\nX-" + promptCanary + "\r\n\r\n",
		"POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\nTransfer-Encoding: chunked\r\n\r\n" + promptCanary + "\r\n",
		"POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + clientKey + "\r\nContent-Length: 100\r\n\r\n" + promptCanary,
		"POST /?key=" + clientKey + " HTTP/9\r\n\r\n", "Authorization: Bearer " + clientKey + "\r\n\r\n",
	} {
		c := r.dialRaw(t)
		c.say(raw)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if said, _ := io.ReadAll(c.br); bytes.Contains(said, []byte("canary")) {
			t.Errorf("%.60q is answered with %s", raw, said)
		}
	}
	for _, page := range []string{"/metrics", "/health", "/health/ready", "/health/detailed", "/v1/models", "/v1/models/gpt-4", "/v1/nothing?key=" + clientKey} {
		own(r.get(page))
	}
	r.lookForCanaries()
}

// What is kept on disk opens no door: client keys are hashed, providers' are
// sealed, in the store and in the snapshot. S23.
func TestSecretsOnDisk(t *testing.T) {
	dir := t.TempDir()
	sealer := store.NewSealer("a secret for this test, long and random")
	db, err := store.Open(store.Options{Dir: dir, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	p, c := provider(0, "a", "https://api.example.com/v1"), credential(0, clientKey, "tester")
	if _, err := db.AddProvider(ctx, &p); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddCredential(ctx, &c); err != nil {
		t.Fatal(err)
	}
	set, err := db.Load(ctx)
	if err != nil || set.Providers[0].APIKey.Reveal() != providerKey {
		t.Fatalf("%+v (%v)", set, err)
	}
	if err := store.NewSnapshot(dir, sealer).Save(set); err != nil {
		t.Fatal(err)
	}
	search := func() (files int) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(clientKey)) || bytes.Contains(b, []byte(providerKey)) {
				t.Errorf("a key stands in %s", d.Name())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return files
	}
	search()
	db.Close()
	if n := search(); n < 2 {
		t.Errorf("only %d files were searched", n)
	}
}

// Ten thousand requests with keys, models, paths and methods made up by their
// senders leave few new series. S26.
func TestLabelsAreFew(t *testing.T) {
	p := fakeprovider.Start(t)
	p.Handle(always(fakeprovider.OK(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)))
	set := serves(p, p)
	set.Providers[1].ModelMapping = map[string]string{"open/*": "*"}
	r := start(t, set)
	series := func() (n int) {
		var page bytes.Buffer
		_, _ = r.metrics.WriteTo(&page)
		for line := range strings.Lines(page.String()) {
			if !strings.HasPrefix(line, "#") && !strings.HasSuffix(line, " 0\n") {
				n++
			}
		}
		return n
	}
	paths := []string{chat, "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/models/m%d", "/v1/%d", "/%d/metrics"}
	methods := []string{"POST", "POST", "POST", "GET", "GET", "PUT", "M%d"}
	keys := []string{clientKey, clientKey, "sk-%d", anotherKey}
	models := []string{"m%d", "open/m%d", "gpt-4", "Proxy/m%d", "gpt-4-%d"}
	const warmUp = 10 // batches, after which all that the configuration names has been seen
	before := 0
	for batch := range 100 + warmUp {
		if batch == warmUp {
			before = series()
		}
		c := r.dialRaw(t)
		var all strings.Builder
		for i := range 100 {
			n := batch*100 + i
			made := func(from []string, salt int) string {
				s := from[(n*31+n/7+salt)%len(from)]
				if strings.Contains(s, "%d") {
					return fmt.Sprintf(s, n)
				}
				return s
			}
			kind := (n*13 + n/3) % len(paths)
			path, method := made(paths[kind:kind+1], 0), made(methods[kind:kind+1], 0)
			body := `{"model":"` + made(models, 3) + `"}`
			fmt.Fprintf(&all, "%s %s?q=%d HTTP/1.1\r\nHost: h%d\r\nAuthorization: Bearer %s\r\nUser-Agent: a%d\r\nX-Request-Id: %d\r\nContent-Length: %d\r\n\r\n%s",
				method, path, n, n, made(keys, 1), n, n, len(body), body)
		}
		go c.say(all.String())
		for i := range 100 {
			if got, err := c.answer("POST"); err != nil || got.status >= 500 {
				t.Fatalf("answer %d of batch %d: %d %s (%v)", i, batch, got.status, got.body, err)
			}
		}
		c.Close()
	}
	if p.Count() < 1000 {
		t.Errorf("only %d requests came through", p.Count())
	}
	if n := series() - before; n >= 200 {
		t.Errorf("%d new series", n)
	}
}
