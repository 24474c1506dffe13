package admin_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/admin"
	"llmproxy/config"
)

// tricks mean something to SQL, LIKE, regular expressions, templates, shells
// or a browser, and nothing to us.
var tricks = []string{
	"%", "_", "%%%%%%%%", strings.Repeat("%_", 400), strings.Repeat("%a", 300) + "b", "*", "?", "[a-z]*", ".*.*.*.*.*=", "(a+)+$", strings.Repeat("(", 500),
	"'", `"`, "`", `\`, "' OR '1'='1", "1 OR 1=1", "1; DROP TABLE providers; --", "1 UNION SELECT credential_key FROM credentials", "1;SELECT pg_sleep(9)",
	"${jndi:ldap://127.0.0.1/x}", "{{7*7}}", "$(sleep 9)", "`sleep 9`", "| sleep 9", "../../etc/passwd", "<script>alert(1)</script>", "\x00", "\r\nX-Evil: 1", "\u202e", "\xff\xfe",
}

// S03: whatever stands in an id, a query or a value, the answer is quick, no
// error of the gateway's, and about nobody else's rows.
func TestMetacharactersMeanNothing(t *testing.T) {
	g := start(t)
	for i := range 100 {
		p := config.Provider{Key: fmt.Sprintf("p%d", i), Type: "openai", APIBase: "https://x.example", Weight: 1, Enabled: true}
		c := config.Credential{Hash: config.HashKey(fmt.Sprint(i)), Name: strings.Repeat("aab%_", 20), Enabled: true}
		if _, err := g.store.AddProvider(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
		if _, err := g.store.AddCredential(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]string{}
	for _, list := range []string{"providers", "credentials"} {
		all[list] = g.want(200, "GET", "/admin/v1/"+list, "").body
	}
	for _, trick := range tricks {
		for _, list := range []string{"providers", "credentials"} {
			path := "/admin/v1/" + list
			query := "?x"
			for _, name := range []string{"search", "q", "name", "provider_key", "id", "filter", "order_by", "limit", "page"} {
				query += "&" + name + "=" + url.QueryEscape(trick[:min(len(trick), 100)])
			}
			if got := quickly(t, g, "GET", path+query); got.status != 200 || got.body != all[list] {
				t.Errorf("GET %s%s: %d %.200s", path, query, got.status, got.body)
			}
			for _, method := range []string{"GET", "DELETE"} {
				if got := quickly(t, g, method, path+"/"+url.PathEscape(trick)); got.status != 404 || got.header.Get("X-Evil") != "" {
					t.Errorf("%s %s/%.40q: %d %.200s", method, path, trick, got.status, got.body)
				}
			}
		}
		if got := quickly(t, g, "GET", "/admin/v1/health/providers/"+url.PathEscape(trick)); got.status != 404 {
			t.Errorf("health of %.40q: %d %.200s", trick, got.status, got.body)
		}
	}
	for list, before := range all {
		if after := g.want(200, "GET", "/admin/v1/"+list, "").body; after != before {
			t.Errorf("the %s have changed", list)
		}
	}
}

// quickly asks until it is answered within 100 ms, at most five times: one slow
// answer may be a busy machine's, five are ours.
func quickly(t *testing.T, g *gateway, method, path string) (got answer) {
	t.Helper()
	for range 5 {
		began := time.Now()
		if got = g.do(method, path, ""); time.Since(began) < 100*time.Millisecond {
			return got
		}
	}
	t.Errorf("%s %.80s takes more than 100 ms", method, path)
	return got
}

// S03: a value that is kept comes back as it was given.
func TestMetacharactersAreKept(t *testing.T) {
	g := start(t)
	for _, trick := range tricks {
		name := strings.ToValidUTF8(trick[:min(len(trick), 60)], "?")
		body, err := json.Marshal(map[string]string{"name": name})
		if err != nil {
			t.Fatal(err)
		}
		got := g.do("POST", "/admin/v1/credentials", string(body))
		if got.status == 422 && strings.ContainsAny(name, "\x00\r\u202e") {
			continue // not printable
		}
		var made struct{ Credential struct{ Name string } }
		if got.decode(t, &made); got.status != 201 || made.Credential.Name != name {
			t.Errorf("%q became %q: %d", name, made.Credential.Name, got.status)
		}
	}
}

// S04: an id leads to an object of its own kind, and never to a later one.
func TestIDsOfOthers(t *testing.T) {
	g := start(t)
	for i := range 3 {
		g.want(201, "POST", "/admin/v1/credentials", fmt.Sprintf(`{"name":"c%d"}`, i))
	}
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		g.want(404, method, "/admin/v1/providers/3", `{"is_enabled":false}`)
	}
	g.want(200, "DELETE", "/admin/v1/credentials/3", "")
	g.want(201, "POST", "/admin/v1/credentials", `{"name":"later"}`)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		g.want(404, method, "/admin/v1/credentials/3", `{"is_enabled":false}`)
	}
	g.want(404, "POST", "/admin/v1/credentials/3/rotate", "")
	g.want(200, "GET", "/admin/v1/credentials/4", "")
}

// S06: the target of the request decides, not what stands beside it: no Host
// and no form of the target leads to another door than the path's own.
func TestHostDoesNotOpen(t *testing.T) {
	g := start(t)
	key := "Authorization: Bearer " + adminKey + "\r\n"
	f := func(target, host, lines string, want ...int) {
		t.Helper()
		status := rawStatus(t, g.addr, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n"+lines+"Connection: close\r\n\r\n")
		if !slices.Contains(want, status) {
			t.Errorf("GET %s with Host %q: %d, want %v", target, host, status, want)
		}
	}
	for _, host := range []string{
		"localhost", "127.0.0.1", "x/health", "x/health?", "x/health#", "x:80/health?y=", "health", "admin@localhost", "x/admin/v1/auth/validate", "", "[::1]", "x\\health",
	} {
		f("/admin/v1/providers", host, "", 400, 401)
		f("http://localhost/admin/v1/providers", host, "", 400, 401)
		f("/health", host, "", 400, 404) // this router has the Admin API only
		f("/", host, "X-Original-Url: /admin/v1/providers\r\nX-Rewrite-Url: /admin/v1/providers\r\n"+key, 400, 404)
	}
	f("http://x/health/../admin/v1/providers", "x", "", 401, 404)
	f("/health?/admin/v1/providers", "x", key, 404)
	f("http://x/admin/v1/config/version", "other", key, 200)
}

// S07: nothing that an administrator sends is read as a file, a command or a
// name of the environment: fields for them do not exist, and values are values.
func TestValuesAreOnlyValues(t *testing.T) {
	t.Setenv("CANARY_OF_THE_ENVIRONMENT", "read")
	g := start(t)
	for _, name := range []string{
		"command", "args", "env", "exec", "shell", "script", "transport", "url", "ca_file", "tls_ca_file", "cert_file", "key_file", "tls_cert_file", "tls_key_file", "client_cert",
		"proxy", "socket", "unix_socket", "template", "headers", "env_file", "include", "import", "plugin", "log_file", "api_key_file", "custom_handler", "verify_ssl", "insecure",
	} {
		for _, where := range []string{`,%q:"/etc/passwd"}`, `,"provider_params":{%q:"/etc/passwd"}}`} {
			g.want(422, "POST", "/admin/v1/providers", strings.TrimSuffix(seedProvider, "}")+fmt.Sprintf(where, name))
		}
		g.want(422, "POST", "/admin/v1/credentials", fmt.Sprintf(`{"name":"x",%q:"/etc/passwd"}`, name))
		g.want(422, "POST", "/admin/v1/health/check", fmt.Sprintf(`{%q:"/bin/true"}`, name))
	}
	for i, value := range []string{"os.environ/CANARY_OF_THE_ENVIRONMENT", "$CANARY_OF_THE_ENVIRONMENT", "${CANARY_OF_THE_ENVIRONMENT}", "env:CANARY_OF_THE_ENVIRONMENT", "file:///etc/hostname", "@/etc/hostname", "!cat", "vault:secret/x"} {
		g.want(201, "POST", "/admin/v1/providers", fmt.Sprintf(`{"provider_key":"p%d","api_base":"http://x","api_key":%q,"model_mapping":{%q:"m"}}`, i, value, value))
		p := g.serving().Providers[i]
		if p.APIKey.Reveal() != value || p.ModelMapping[value] != "m" {
			t.Errorf("%s became %s, %v", value, p.APIKey.Reveal(), p.ModelMapping)
		}
	}
}

// S14: who guesses from one address waits; others do not, and every wrong key
// is counted.
func TestGuessesOfOthers(t *testing.T) {
	var counted atomic.Int64
	g := start(t, func(d *admin.Deps) { d.WrongKey = func() { counted.Add(1) } })
	from := func(ip, key string) int {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		transport := &http.Transport{DialContext: dialer.DialContext}
		defer transport.CloseIdleConnections()
		q, err := http.NewRequestWithContext(t.Context(), "GET", g.url+"/admin/v1/config/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+key)
		q.Header.Set("X-Forwarded-For", "192.0.2.1")
		resp, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i := range 25 {
		want := 401
		if i >= 20 {
			want = 429
		}
		if got := from("127.0.0.2", "guess"); got != want {
			t.Errorf("guess %d: %d, want %d", i, got, want)
		}
	}
	if got := from("127.0.0.3", "guess"); got != 401 {
		t.Errorf("another address that guesses once: %d", got)
	}
	for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
		if got := from(ip, adminKey); got != 200 {
			t.Errorf("the right key from %s: %d", ip, got)
		}
	}
	if n := counted.Load(); n != 26 {
		t.Errorf("%d wrong keys were counted, want 26", n)
	}
}

// S31: what a browser sends for a page of another origin changes nothing: the
// key is in no cookie and no dialogue, only in a header that such a page may
// not set, and no preflight is answered.
func TestOtherOriginsChangeNothing(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	before := g.want(200, "GET", "/admin/v1/providers", "").body
	for _, origin := range []string{"https://evil.example", "null", g.url} {
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"} {
			for _, path := range everyPath {
				method, path, _ := strings.Cut(path, " ")
				got := g.do(method, path, seedProvider, "Authorization:", "Origin: "+origin, "Content-Type: "+kind, "Cookie: admin_key="+adminKey, "Sec-Fetch-Site: cross-site")
				if got.status != 401 || got.header.Get("Set-Cookie") != "" || got.header.Get("Www-Authenticate") != "Bearer" {
					t.Errorf("%s %s from %s as %s: %d %v", method, path, origin, kind, got.status, got.header)
				}
				for name := range got.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, path, origin, name)
					}
				}
			}
		}
	}
	if after := g.want(200, "GET", "/admin/v1/providers", "").body; after != before {
		t.Errorf("%s became %s", before, after)
	}
}
