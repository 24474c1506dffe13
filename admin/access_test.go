package admin_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"llmproxy/admin"
)

// everyPath has one request for each endpoint, and some that are none.
var everyPath = []string{
	"POST /admin/v1/auth/validate",
	"GET /admin/v1/providers", "POST /admin/v1/providers",
	"GET /admin/v1/providers/1", "PUT /admin/v1/providers/1", "PATCH /admin/v1/providers/1", "DELETE /admin/v1/providers/1",
	"GET /admin/v1/credentials", "POST /admin/v1/credentials",
	"GET /admin/v1/credentials/1", "PUT /admin/v1/credentials/1", "PATCH /admin/v1/credentials/1", "DELETE /admin/v1/credentials/1",
	"POST /admin/v1/credentials/1/rotate",
	"POST /admin/v1/config/reload", "GET /admin/v1/config/version",
	"GET /admin/v1/log-level", "PUT /admin/v1/log-level",
	"POST /admin/v1/health/check", "GET /admin/v1/health/providers/1", "GET /admin/v1/usage", "GET /admin/v1/requests",
	"GET /admin/v1/setup", "POST /admin/v1/setup", "POST /admin/v1/install", "POST /admin/v1/auth/login", "POST /admin/v1/auth/register", "POST /admin/setup",
	"GET /admin/", "GET /admin/v1", "GET /admin/v2/providers", "DELETE /admin/v1/providers", "OPTIONS /admin/v1/providers", "HEAD /admin/v1/providers",
}

// S06, S08, S32: whatever is said besides the key, no path answers anything but
// 401, and nothing serves or changes. There is no set-up without the key.
func TestEveryPathAsksForTheKey(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	attempts := [][]string{
		{"Authorization:"},
		{"Authorization: " + adminKey},
		{"Authorization: Basic " + adminKey},
		{"Authorization: Bearer"},
		{"Authorization:", "Api-Key: " + adminKey},
		{"Authorization:", "X-Api-Key: " + adminKey},
		{"Authorization:", "Cookie: Authorization=Bearer " + adminKey},
		{"Authorization:", "X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1", "X-Forwarded-User: admin"},
		{"Authorization:", "X-Original-Url: /health", "X-Rewrite-Url: /health", "X-Forwarded-Prefix: /health"},
		{"Authorization:", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: https", "X-Forwarded-Uri: /health", "Forwarded: for=127.0.0.1;host=localhost"},
		{"Authorization:", "X-Http-Method-Override: GET", "X-Custom-Ip-Authorization: 127.0.0.1", "Proxy-Authorization: Bearer " + adminKey},
		{"Authorization:", "Cookie: session=admin; admin_key=" + adminKey, "X-Admin-Key: " + adminKey, "Admin-Key: " + adminKey, "Token: " + adminKey},
	}
	for _, path := range everyPath {
		method, path, _ := strings.Cut(path, " ")
		for _, headers := range attempts {
			got := g.do(method, path, "", headers...)
			if got.status != 401 || got.header.Get("Www-Authenticate") != "Bearer" {
				t.Errorf("%s %s with %v: %d %s", method, path, headers, got.status, got.body)
			}
		}
		if got := g.do(method, path, "", "Authorization: beAReR   "+adminKey); got.status == 401 || got.status == 429 {
			t.Errorf("%s %s with the key: %d %s", method, path, got.status, got.body)
		}
	}
	golden(t, "unauthorized", g.want(401, "GET", "/admin/v1/providers", "", "Authorization:"))
}

// S13: a key that differs from the right one by one character, or by its
// length, is none.
func TestWrongKeys(t *testing.T) {
	api := admin.New(admin.Deps{AdminKeyHash: sha256.Sum256([]byte(adminKey)), HasAdminKey: true})
	f := func(key string, want bool) {
		t.Helper()
		if got := api.IsAdmin([]byte(key)); got != want {
			t.Errorf("IsAdmin(%q) = %v", key, got)
		}
	}
	f(adminKey, true)
	f("", false)
	f(adminKey+" ", false)
	f(adminKey+"\x00", false)
	f(adminKey[:len(adminKey)-1], false)
	f(strings.ToLower(adminKey), false)
	f(strings.Repeat("x", 1<<20), false)
}

// S05: without an admin key nothing opens; the hash of nothing is a hash too.
func TestNoAdminKey(t *testing.T) {
	g := start(t, func(d *admin.Deps) { d.HasAdminKey, d.AdminKeyHash = false, [32]byte{} })
	for _, path := range everyPath {
		method, path, _ := strings.Cut(path, " ")
		for _, h := range []string{"Authorization:", "Authorization: Bearer x", "Authorization: Bearer "} {
			if got := g.do(method, path, "", h); got.status != 503 {
				t.Errorf("%s %s with %q: %d %s", method, path, h, got.status, got.body)
			}
		}
	}
	golden(t, "no_admin_key", g.want(503, "GET", "/admin/v1/providers", ""))
	for _, empty := range []admin.Deps{{}, {AdminKeyHash: sha256.Sum256(nil)}} {
		if admin.New(empty).IsAdmin(nil) {
			t.Error("no key is the admin's")
		}
	}
}

func TestTwoAuthorizationHeadersAreNone(t *testing.T) {
	g := start(t)
	for _, second := range []string{"Bearer wrong", "Bearer " + adminKey} {
		req, err := http.NewRequest("GET", g.url+"/admin/v1/providers", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = []string{"Bearer " + adminKey, second}
		if got := g.send(req); got.status != 401 {
			t.Errorf("two headers: %d %s", got.status, got.body)
		}
	}
}

func TestValidate(t *testing.T) {
	g := start(t)
	golden(t, "validate_right", g.want(200, "POST", "/admin/v1/auth/validate", ""))
	golden(t, "validate_wrong", g.want(401, "POST", "/admin/v1/auth/validate", "", "Authorization: Bearer wrong"))
	golden(t, "validate_missing", g.want(401, "POST", "/admin/v1/auth/validate", "", "Authorization:"))
}

// S14: 20 wrong keys are answered 401, further ones 429 for a while,
// and the right key is let in all the time.
func TestGuessing(t *testing.T) {
	g := start(t)
	const path = "/admin/v1/config/version"
	guess := func(want int) answer {
		t.Helper()
		return g.want(want, "GET", path, "", "Authorization: Bearer CANARY-guess")
	}
	for range 100 {
		g.want(401, "GET", path, "", "Authorization:") // no key is no guess
	}
	for range 20 {
		guess(401)
	}
	g.wait(time.Minute)
	refused := guess(429)
	golden(t, "guessed_too_often", refused)
	if got := refused.header.Get("Retry-After"); got != "240" {
		t.Errorf("retry-after %q, want the 240 seconds left", got)
	}
	golden(t, "validate_guessed_too_often", g.want(429, "POST", "/admin/v1/auth/validate", "", "Authorization: Bearer wrong"))
	g.want(200, "GET", path, "")
	g.want(401, "GET", path, "", "Authorization:")
	g.wait(4 * time.Minute)
	for range 20 {
		guess(401)
	}
	guess(429)
	if n := strings.Count(g.log.String(), "too many wrong admin keys"); n != 2 {
		t.Errorf("the log says it %d times, want once for each time it began:\n%s", n, g.log)
	}
}

// TestPathTricks: no spelling of a path comes to the API without the key, and
// none makes it fail.
func TestPathTricks(t *testing.T) {
	g := start(t)
	f := func(path string) {
		t.Helper()
		for _, key := range []string{"", "Authorization: Bearer " + adminKey + "\r\n"} {
			status := rawStatus(t, g.addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+key+"Connection: close\r\n\r\n")
			if status >= 500 || status < 400 || key != "" && status == 401 {
				t.Errorf("GET %s, key %v: %d", path, key != "", status)
			}
		}
	}
	f("//admin/v1/providers")
	f("/admin//v1/providers")
	f("/admin/v1/providers/")
	f("/admin/v1/providers//")
	f("/ADMIN/v1/providers")
	f("/Admin/V1/Providers")
	f("/admin%2fv1/providers")
	f("/admin/v1%2fproviders")
	f("/%61dmin/v1/providers")
	f("/admin/v1/%70roviders")
	f("/v1/../admin/v1/providers")
	f("/admin/../admin/v1/providers")
	f("/admin/./v1/providers")
	f("/admin/v1/providers;x=1")
	f("/admin/v1/providers%00")
	f("/admin/v1/providers/%2e%2e/credentials")
	f("/admin/v1/health/../providers")
	f("/admin\\v1\\providers")
	f("/admin/v1/providers/" + strings.Repeat("1", 3000))
	f("/")
	f("*")
}

// TestMethods (H08): what no endpoint takes is 405 with the ones that it does.
func TestMethods(t *testing.T) {
	g := start(t)
	f := func(method, path, allow string) {
		t.Helper()
		status, header := raw(t, g.addr, method+" "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+adminKey+"\r\nConnection: close\r\nOrigin: http://evil\r\nAccess-Control-Request-Method: POST\r\n\r\n")
		if status != 405 || header.Get("Allow") != allow {
			t.Errorf("%s %s: %d, allow %q, want 405, %q", method, path, status, header.Get("Allow"), allow)
		}
		for name := range header {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%s %s: header %s", method, path, name)
			}
		}
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "TRACE", "HEAD", "PROPFIND"} {
		f(method, "/admin/v1/providers", "GET, POST")
	}
	for _, method := range []string{"POST", "OPTIONS", "HEAD"} {
		f(method, "/admin/v1/credentials/1", "DELETE, GET, PATCH, PUT")
	}
	f("GET", "/admin/v1/config/reload", "POST")
	golden(t, "method", g.want(405, "DELETE", "/admin/v1/providers", ""))
	golden(t, "path", g.want(404, "GET", "/admin/v1/nothing", ""))
}

// rawStatus sends bytes as they are and returns the status of the answer.
func rawStatus(t *testing.T, addr, request string) int {
	t.Helper()
	status, _ := raw(t, addr, request)
	return status
}

func raw(t *testing.T, addr, request string) (int, http.Header) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// S33, S30: no answer may be kept or taken for something else,
// and each can be found again by its id.
func TestHeadersOfEveryAnswer(t *testing.T) {
	g := start(t)
	seen := map[string]bool{}
	for i, path := range everyPath {
		method, path, _ := strings.Cut(path, " ")
		for _, h := range []string{"X-None: 1", "Authorization:", "Authorization: Bearer wrong" + strconv.Itoa(i), "Content-Encoding: gzip"} {
			got := g.do(method, path, "", h)
			id := got.header.Get("X-Request-Id")
			if seen[id] || len(id) < 20 {
				t.Errorf("%s %s %s: x-request-id %q", method, path, h, id)
			}
			seen[id] = true
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s %s: headers %v", method, path, h, got.header)
			}
		}
	}
	f := func(id string, kept bool) {
		t.Helper()
		if got := g.do("GET", "/admin/v1/config/version", "", "X-Request-Id: "+id).header.Get("X-Request-Id"); (got == id) != kept {
			t.Errorf("x-request-id %q comes back as %q", id, got)
		}
	}
	f("abc-123", true)
	f(strings.Repeat("x", 128), true)
	f(strings.Repeat("x", 129), false)
	f("zwei Wörter", false)
	f("schlüssel", false)
}
