package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// inProcess is a gateway in the test's own process: run, as main calls it, so
// that its goroutines can be counted and the race detector sees both sides.
type inProcess struct {
	url      string
	adminKey string
	client   *http.Client
	out      transcript
	stop     context.CancelFunc
	exit     chan int
}

const testAdminKey = "admin-key-of-the-tests"

// startInProcess runs a gateway with these settings until stopAndWait.
func startInProcess(t *testing.T, env map[string]string) *inProcess {
	t.Helper()
	settings := map[string]string{"PORT": "0", "DATA_DIR": t.TempDir(), "ADMIN_KEY": testAdminKey, "SHUTDOWN_GRACE_SECS": "10"}
	for name, value := range env {
		settings[name] = value
	}
	ctx, stop := context.WithCancel(context.Background())
	g := &inProcess{
		adminKey: testAdminKey, stop: stop, exit: make(chan int, 1),
		client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
	}
	lookup := func(name string) (string, bool) { value, ok := settings[name]; return value, ok }
	go func() { g.exit <- run(ctx, []string{"serve"}, lookup, &g.out, &g.out) }()
	t.Cleanup(stop)
	if !soon(func() bool { return strings.Contains(g.out.String(), "is it up") }) {
		t.Fatalf("the gateway does not start:\n%s", &g.out)
	}
	g.url = regexp.MustCompile(`https?://\S+`).FindString(g.out.String())
	return g
}

// stopAndWait drains the gateway; it must end well.
func (g *inProcess) stopAndWait(t *testing.T) {
	t.Helper()
	g.client.CloseIdleConnections()
	g.stop()
	select {
	case code := <-g.exit:
		if code != 0 {
			t.Errorf("exit code %d:\n%s", code, &g.out)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the gateway does not end:\n%s", &g.out)
	}
}

// admin calls the Admin API and returns the status and the answer's object.
func (g *inProcess) admin(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(b)
	}
	q, err := http.NewRequest(method, g.url+"/admin/v1"+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+g.adminKey)
	resp, err := g.client.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	var object map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&object); err != nil {
		t.Fatalf("%s %s: %d %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, object
}

// served is the version of the configuration that serves.
func (g *inProcess) served(t *testing.T) int64 {
	t.Helper()
	return g.metric(t, "llm_proxy_config_version")
}

// metric is the value of one series, written as the page has it.
func (g *inProcess) metric(t *testing.T, series string) int64 {
	t.Helper()
	resp, err := g.client.Get(g.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, found := strings.Cut(string(page), "\n"+series+" ") // quicker than a pattern, on a page this long
	value, _, _ = strings.Cut(value, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		t.Fatalf("%s is %q in\n%s", series, value, page)
	}
	return int64(n)
}

// reaches waits until the version serves, and returns how long that took.
func (g *inProcess) reaches(t *testing.T, version int64) time.Duration {
	t.Helper()
	began := time.Now()
	if !soon(func() bool { return g.served(t) >= version }) {
		t.Fatalf("version %d does not come to serve; %d serves", version, g.served(t))
	}
	return time.Since(began)
}

// transcript collects what a gateway prints. The zero value is ready.
type transcript struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all so far.
func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

var _ fmt.Stringer = (*transcript)(nil)
