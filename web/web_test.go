package web

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// start serves the pages, and what more adds, on a real socket.
func start(t *testing.T, more func(*router.Router)) (origin string) {
	t.Helper()
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	Register(r)
	if more != nil {
		more(r)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: r.Handler, NoDefaultServerHeader: true}
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		_ = s.Shutdown()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// client neither follows redirects nor decompresses by itself.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestPages(t *testing.T) {
	origin := start(t, nil)
	f := func(path, contentType, holds string) {
		t.Helper()
		res, body := ask(t, "GET", origin+path)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != contentType || !strings.Contains(body, holds) {
			t.Errorf("GET %s: %d %q, holds %q: %v", path, res.StatusCode, res.Header.Get("Content-Type"), holds, strings.Contains(body, holds))
		}
		checkProtection(t, path, res.Header)
		head, empty := ask(t, "HEAD", origin+path)
		if head.StatusCode != 200 || empty != "" || head.ContentLength != int64(len(body)) {
			t.Errorf("HEAD %s: %d, %d bytes, length %d, want %d", path, head.StatusCode, len(empty), head.ContentLength, len(body))
		}
	}

	f("/docs", "text/html; charset=utf-8", "<rapi-doc")
	f("/docs/", "text/html; charset=utf-8", "<rapi-doc")
	f("/docs/docs.css", "text/css; charset=utf-8", "rapi-doc")
	f("/docs/docs.js", "text/javascript; charset=utf-8", "use strict")
	f("/docs/icon.svg", "image/svg+xml", "<svg")
	f("/docs/"+rapidoc, "text/javascript; charset=utf-8", "RapiDoc")
	f("/docs/LICENSES", "text/plain; charset=utf-8", "Mrinmoy Majumdar")
	f("/openapi.json", "application/json", `"openapi":"3.1.0"`)
	f("/openapi.yaml", "application/yaml", "openapi: 3.1.0")

	for _, path := range []string{"/docs/README.md", "/docs/docs.html", "/docs/../web.go", "/docs/%2e%2e/openapi.yaml", "/docs/a/b"} {
		if res, _ := ask(t, "GET", origin+path); res.StatusCode != 404 {
			t.Errorf("GET %s: %d, want 404", path, res.StatusCode)
		}
	}
}

// S30, S33: no inline script, no frame, no guessing of types.
func checkProtection(t *testing.T, path string, h http.Header) {
	t.Helper()
	policy := h.Get("Content-Security-Policy")
	for _, rule := range []string{"default-src 'none'", "script-src 'self';", "form-action 'none'", "frame-ancestors 'none'", "connect-src 'self'", "base-uri 'none'"} {
		if !strings.Contains(policy, rule) {
			t.Errorf("%s: no %q in Content-Security-Policy %q", path, rule, policy)
		}
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%s: headers %v", path, h)
	}
}

// The Host header must never decide where a visitor is sent.
func TestIndexLeadsToDocsWithoutHost(t *testing.T) {
	origin := start(t, nil)
	res, _ := ask(t, "GET", origin+"/", "Host", "evil.example", "X-Forwarded-Host", "evil.example")
	if res.StatusCode != 302 || res.Header.Get("Location") != "/docs" {
		t.Errorf("%d to %q, want 302 to /docs", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestCompression(t *testing.T) {
	origin := start(t, nil)
	_, plain := ask(t, "GET", origin+"/docs/"+rapidoc)
	f := func(accept, encoding string) {
		t.Helper()
		res, body := ask(t, "GET", origin+"/docs/"+rapidoc, "Accept-Encoding", accept)
		if got := res.Header.Get("Content-Encoding"); got != encoding {
			t.Fatalf("Accept-Encoding %q: Content-Encoding %q, want %q", accept, got, encoding)
		}
		if encoding == "gzip" {
			body = string(decompress([]byte(body)))
		}
		if body != plain || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: %d bytes, want %d; Vary %q", accept, len(body), len(plain), res.Header.Get("Vary"))
		}
	}

	f("gzip", "gzip")
	f("br, gzip;q=0.5", "gzip")
	f("GZIP", "gzip")
	f("*", "gzip")
	f("br", "")
	f("gzip;q=0", "")
	f("gzip; q=0.000", "")
	f("*;q=0", "")
	f("x-gzip2", "")
}

func TestNotModified(t *testing.T) {
	origin := start(t, nil)
	f := func(path, accept string) {
		t.Helper()
		first, _ := ask(t, "GET", origin+path, "Accept-Encoding", accept)
		etag := first.Header.Get("ETag")
		for match, want := range map[string]int{
			etag: 304, `"other", ` + etag: 304, "W/" + etag: 304, "*": 304, `"other"`: 200, "": 200,
		} {
			res, body := ask(t, "GET", origin+path, "Accept-Encoding", accept, "If-None-Match", match)
			if res.StatusCode != want || (want == 304 && body != "") || res.Header.Get("ETag") != etag {
				t.Errorf("%s with If-None-Match %s: %d, %d bytes, want %d", path, match, res.StatusCode, len(body), want)
			}
		}
	}

	f("/docs", "gzip")
	f("/docs", "identity")
	f("/openapi.json", "gzip")
	f("/docs/"+rapidoc, "identity")

	forever, _ := ask(t, "GET", origin+"/docs/"+rapidoc)
	if got := forever.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control %q of a file named by its version", got)
	}
	page, _ := ask(t, "GET", origin+"/docs")
	if got := page.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control %q of the page", got)
	}
}

// The vendored renderer is what the npm registry served, to the byte.
func TestRapidocIsUnchanged(t *testing.T) {
	sum := sha256.Sum256(decompress(mustRead(rapidoc + ".gz")))
	const want = "affbd173a65e870e18f392cca963113bcdafb6e50e88cd2f6a834a65b22db94d"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("SHA-256 %s, want %s", got, want)
	}
	if readme := string(mustRead("README.md")); !strings.Contains(readme, want) {
		t.Error("ui/README.md names another checksum")
	}
}
