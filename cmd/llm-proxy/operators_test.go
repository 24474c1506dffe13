package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llmproxy/internal/gatewaytest"
)

var operatorsAt = regexp.MustCompile(`operators' listener\s+(https?://[^\s,]+)`)

// operatorsURL is where a gateway said that its operators' listener is.
func operatorsURL(t *testing.T, said string) string {
	t.Helper()
	m := operatorsAt.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("no listener for operators:\n%s", said)
	}
	return m[1]
}

// fetch gets a page with headers given as name, value, and returns status and body.
func fetch(t *testing.T, url string, headers ...string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if q.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			q.Host = headers[i+1]
		}
	}
	q.Close = true
	resp, err := newClient(t).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, read(t, resp, nil)
}

// S25: what is where, for each way to set the listener for operators. Profiles
// are never on the clients' port, whatever key comes.
func TestWhatIsWhere(t *testing.T) {
	paths := []string{
		"/v1/models", "/health", "/health/ready", "/docs", "/admin/v1/providers", "/metrics", "/health/detailed",
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug/pprof/cmdline",
	}
	f := func(env map[string]string, public, operators string) {
		t.Helper()
		g := startInProcess(t, env)
		defer g.stopAndWait(t)
		look := func(where, base, want string) {
			t.Helper()
			var got []string
			for _, path := range paths {
				status, _ := fetch(t, base+path, "Authorization", "Bearer "+g.adminKey)
				got = append(got, map[int]string{200: "+", 401: "k", 404: "-"}[status])
			}
			if strings.Join(got, "") != want {
				t.Errorf("%v: %s has %s, want %s, of %q", env, where, strings.Join(got, ""), want, paths)
			}
		}
		look("the clients' port", g.url, public)
		if operators == "" {
			if strings.Contains(g.out.String(), "operators' listener") {
				t.Errorf("%v: there is a second listener", env)
			}
			return
		}
		look("the operators' listener", operatorsURL(t, g.out.String()), operators)
	}
	// The admin's key is no client's: /v1/models asks for another (k).
	f(nil, "k++++++----", "")
	f(map[string]string{"ADMIN_ON_PUBLIC_PORT": "true"}, "k++++++----", "")
	f(map[string]string{"ADMIN_ADDR": "127.0.0.1:0"}, "k+++-------", "-+++++++++-")
	if ln, err := net.Listen("tcp", "[::1]:0"); err == nil { // a machine may have no IPv6
		ln.Close()
		f(map[string]string{"ADMIN_ADDR": "[::1]:0"}, "k+++-------", "-+++++++++-")
	}
	f(map[string]string{"ADMIN_ADDR": "localhost:0", "ADMIN_ON_PUBLIC_PORT": "true"}, "k++++++----", "-+++++++++-")
	f(map[string]string{"ADMIN_ADDR": "0.0.0.0:0", "ADMIN_PLAIN_HTTP": "true"}, "k+++-------", "-+++++++++-")
}

// S08, S31: on the listener for operators a key opens, and a page of another
// origin or of a name that was made to lead here gets nothing, not even what
// needs no key.
func TestOperatorsListenerRefuses(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{"ADMIN_ADDR": "127.0.0.1:0"}})
	base := operatorsURL(t, g.Output())
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	f := func(path string, want int, headers ...string) {
		t.Helper()
		if got, body := fetch(t, base+path, headers...); got != want {
			t.Errorf("%s with %q: %d, want %d: %.100s", path, headers, got, want, body)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/pprof/nothing", "/debug/vars", "/admin/v1/providers"} {
		f(path, 401)
		f(path, 401, "Authorization", "Bearer wrong")
		f(path, 401, "X-Api-Key", g.AdminKey)
	}
	admin := "Bearer " + g.AdminKey
	for _, path := range []string{"/metrics", "/debug/vars", "/admin/v1/providers", "/health"} {
		f(path, 200, "Authorization", admin)
		f(path, 200, "Authorization", admin, "Host", "localhost:"+port)
		f(path, 200, "Authorization", admin, "Host", "LOCALHOST")
		f(path, 200, "Authorization", admin, "Host", "[::1]:"+port, "Origin", "http://[::1]:"+port)
		f(path, 200, "Authorization", admin, "Sec-Fetch-Site", "same-origin")
		f(path, 403, "Authorization", admin, "Sec-Fetch-Site", "cross-site")
		f(path, 403, "Authorization", admin, "Origin", "http://evil.example")
		f(path, 403, "Authorization", admin, "Host", "evil.example:"+port)
		f(path, 403, "Authorization", admin, "Host", "evil.example:"+port, "Origin", "http://evil.example:"+port)
		f(path, 403, "Authorization", admin, "Host", "localhost.evil.example")
		f(path, 403, "Authorization", admin, "Host", "10.0.0.7:"+port)
	}
	f("/debug/pprof/cmdline", 404, "Authorization", admin)
	f("/debug/pprof/symbol", 404, "Authorization", admin)
	f("/debug/pprof/heap/", 404, "Authorization", admin)
	f("/debug/pprof/profile?seconds=0", 400, "Authorization", admin)
	f("/debug/pprof/profile?seconds=61", 400, "Authorization", admin)
	f("/debug/pprof/trace?seconds=11", 400, "Authorization", admin)
	f("/debug/pprof/trace?seconds=x", 400, "Authorization", admin)
}

// S22: what the listener for operators shows of the process holds no key: not
// those of its command line, nor the providers', nor the clients'.
func TestProfilesHoldNoKey(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Options{
		Env:  map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "ADMIN_ON_PUBLIC_PORT": "true"},
		Args: []string{"--metrics-key", "metrics-canary-0123456789", "--secret-key=secret-canary-0123456789"},
	})
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": "http://127.0.0.1:9", "api_key": "provider-canary-0123456789", "model_mapping": map[string]any{"m": "m"}})
	client := g.Key(t)
	base := operatorsURL(t, g.Output())
	secrets := []string{"canary-0123456789", g.AdminKey, client, "--metrics-key"}
	for _, path := range []string{
		"/debug/pprof/", "/debug/vars", "/debug/pprof/heap?gc=1", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs", "/debug/pprof/goroutine",
		"/debug/pprof/goroutine?debug=2", "/debug/pprof/threadcreate", "/debug/pprof/profile?seconds=1", "/debug/pprof/block?seconds=1", "/debug/pprof/mutex?seconds=1", "/debug/pprof/trace",
	} {
		status, body := fetch(t, base+path, "Authorization", "Bearer "+g.AdminKey)
		if strings.HasPrefix(body, "\x1f\x8b") {
			body = unzip(t, body)
		}
		if status != 200 || len(body) < 50 {
			t.Errorf("%s: %d, %d bytes", path, status, len(body))
		}
		for _, secret := range secrets {
			if strings.Contains(body, secret) {
				t.Errorf("%s holds %s…", path, secret[:5])
			}
		}
	}
	_, body := fetch(t, base+"/debug/vars", "Authorization", "Bearer "+g.AdminKey)
	var vars map[string]any
	if err := json.Unmarshal([]byte(body), &vars); err != nil || vars["memstats"] == nil || vars["cmdline"] != nil {
		t.Errorf("/debug/vars: %v, %.100s", err, body)
	}
}

func unzip(t *testing.T, body string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recordFor asks for a CPU profile of a minute until ctx ends; what it answers
// comes on the channel, nil if nothing does.
func recordFor(ctx context.Context, t *testing.T, base string) <-chan []byte {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/debug/pprof/profile?seconds=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Close = true
	q.Header.Set("Authorization", "Bearer "+testAdminKey)
	answered, c := make(chan []byte, 1), newClient(t)
	go func() {
		defer close(answered)
		resp, err := c.Do(q)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == http.StatusOK {
			answered <- b
		}
	}()
	return answered
}

// One recording is made at a time. It ends when who asked for it leaves, and
// when the process drains: then it is whole, of the time there was.
func TestRecordingsEnd(t *testing.T) {
	before := goleak.IgnoreCurrent()
	g := startInProcess(t, map[string]string{"ADMIN_ADDR": "127.0.0.1:0"})
	base := operatorsURL(t, g.out.String())
	recording := func() bool {
		_, all := fetch(t, base+"/debug/pprof/goroutine?debug=2", "Authorization", "Bearer "+testAdminKey)
		return strings.Contains(all, "profiling.(*Pages).wait")
	}
	began := time.Now()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	first := recordFor(ctx, t, base)
	if !soon(recording) {
		t.Fatal("nothing is recorded")
	}
	if status, _ := fetch(t, base+"/debug/pprof/trace?seconds=1", "Authorization", "Bearer "+testAdminKey); status != http.StatusConflict {
		t.Errorf("a second recording beside the first: %d", status)
	}
	leave()
	if <-first != nil || !soon(func() bool { return !recording() }) {
		t.Fatal("a recording goes on for somebody who left")
	}
	second := recordFor(t.Context(), t, base)
	if !soon(recording) {
		t.Fatal("the seat of who left is lost")
	}
	g.stopAndWait(t)
	profile := <-second
	goleak.VerifyNone(t, append(eternal, before)...)
	if took := time.Since(began); took > 50*time.Second {
		t.Errorf("the recordings took %v: they did not end before their time", took)
	}
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	if err := os.WriteFile(file, profile, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("go", "tool", "pprof", "-raw", file).CombinedOutput()
	if err != nil || !bytes.Contains(said, []byte("cpu/nanoseconds")) {
		t.Errorf("go tool pprof of %d bytes: %v\n%.300s", len(profile), err, said)
	}
}

// R35: while a second process takes over, with REUSE_PORT, and after the first
// has drained, both listeners answer.
func TestRestartOfBothListeners(t *testing.T) {
	free := func() string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	_, port, _ := net.SplitHostPort(free())
	o := gatewaytest.Options{Dir: t.TempDir(), Env: map[string]string{
		"PORT": port, "ADMIN_ADDR": free(), "REUSE_PORT": "true", "ADMIN_KEY": testAdminKey, "GORACE": promptRace,
	}}
	first := gatewaytest.Start(t, o)
	f := func(url string) {
		t.Helper()
		for range 10 {
			if status, body := fetch(t, url, "Authorization", "Bearer "+testAdminKey); status != 200 {
				t.Errorf("%s: %d %s", url, status, body)
			}
		}
	}
	base := operatorsURL(t, first.Output())
	second := gatewaytest.Start(t, o)
	f(first.URL + "/health")
	f(base + "/admin/v1/providers")
	if code := first.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	f(second.URL + "/health")
	f(base + "/admin/v1/providers")
	f(base + "/debug/vars")
}
