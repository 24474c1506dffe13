package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"llmproxy/admin"
	"llmproxy/config"
	"llmproxy/health"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
)

const adminKey = "CANARY-admin-key"

var update = flag.Bool("update", false, "write the golden answers")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Run(m),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"), // fasthttp's clock, for ever
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// gateway is the API on a socket, over a real store, with what serves behind
// it: the last Set that Reload accepted.
type gateway struct {
	t     *testing.T
	url   string
	addr  string
	store store.Store
	log   *journal
	http  *http.Client

	mu     sync.Mutex
	served *config.Set
	now    time.Time
}

// start starts a gateway; change may alter its parts before.
func start(t *testing.T, change ...func(*admin.Deps)) *gateway {
	t.Helper()
	return startBehind(t, func(ln net.Listener) net.Listener { return ln }, change...)
}

// startBehind starts one whose connections are wrapped.
func startBehind(t *testing.T, wrap func(net.Listener) net.Listener, change ...func(*admin.Deps)) *gateway {
	t.Helper()
	g := &gateway{t: t, log: &journal{}, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	g.store = openStore(t)
	d := admin.Deps{
		Store: g.store, Reload: g.reload, Prober: allHealthy{}, Now: g.clock,
		AdminKeyHash: sha256.Sum256([]byte(adminKey)), HasAdminKey: true, MaxBody: 64 << 10,
		Log: slog.New(slog.NewJSONHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&d)
	}
	g.listen(admin.New(d), wrap)
	return g
}

func openStore(t *testing.T) store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// listen serves the API as the gateway does: bodies are not read ahead.
func (g *gateway) listen(api *admin.API, wrap func(net.Listener) net.Listener) {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	api.Register(r)
	server := &fasthttp.Server{
		Handler: r.Handler, StreamRequestBody: true, DisablePreParseMultipartForm: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true, Logger: quiet{},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(wrap(ln))
	}()
	g.addr = ln.Addr().String()
	g.url = "http://" + g.addr
	g.http = &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	g.t.Cleanup(func() {
		g.http.CloseIdleConnections()
		if err := server.Shutdown(); err != nil {
			g.t.Error(err)
		}
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
	})
}

func (g *gateway) reload(ctx context.Context) (admin.Applied, error) {
	set, err := g.store.Load(ctx)
	if err != nil {
		return admin.Applied{}, err
	}
	set.Normalize()
	if err := set.Validate(); err != nil {
		return admin.Applied{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.served == nil || g.served.Version < set.Version {
		g.served = set
	}
	return admin.Applied{Version: g.served.Version, Providers: len(g.served.Providers), Credentials: len(g.served.Credentials)}, nil
}

// serving returns what serves now.
func (g *gateway) serving() *config.Set {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.served == nil {
		return &config.Set{}
	}
	return g.served
}

func (g *gateway) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gateway) wait(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request with the right key; headers replace and add, "name:"
// takes one away.
func (g *gateway) do(method, path, body string, headers ...string) answer {
	g.t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, g.url+path, from)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			req.Header.Set(name, value)
		}
	}
	return g.send(req)
}

func (g *gateway) send(req *http.Request) answer {
	g.t.Helper()
	resp, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// want sends a request and fails unless it is answered with status.
func (g *gateway) want(status int, method, path, body string, headers ...string) answer {
	g.t.Helper()
	got := g.do(method, path, body, headers...)
	if got.status != status {
		g.t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, got.status, got.body, status)
	}
	return got
}

// faults returns the fields of errors[].
func (a answer) faults(t *testing.T) string {
	t.Helper()
	var body struct {
		Detail string
		Errors config.Problems
	}
	a.decode(t, &body)
	fields := make([]string, len(body.Errors))
	for i, p := range body.Errors {
		fields[i] = p.Field
	}
	if len(fields) > 0 && body.Detail != body.Errors.Error() {
		t.Errorf("detail %q is not the faults %v in one line", body.Detail, body.Errors)
	}
	return strings.Join(fields, " ")
}

func (a answer) decode(t *testing.T, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), to); err != nil {
		t.Fatalf("answer %q: %v", a.body, err)
	}
}

var (
	aTime = regexp.MustCompile(`"20\d\d-\d\d-\d\dT[0-9:.]+Z"`)
	aKey  = regexp.MustCompile(`"sk-[0-9A-Za-z]{43}"`)
	aSeen = regexp.MustCompile(`"sk-[0-9A-Za-z]{2}…[0-9A-Za-z]{4}"`)
)

// golden compares an answer, with its times and made keys named, with a file.
func golden(t *testing.T, name string, a answer) {
	t.Helper()
	text := aTime.ReplaceAllString(a.body, `"TIME"`)
	text = aSeen.ReplaceAllString(aKey.ReplaceAllString(text, `"KEY"`), `"PREVIEW"`)
	got := http.StatusText(a.status) + "\n" + text
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", path, got, want)
	}
}

// journal is a log that may be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// allHealthy is a prober that knows provider 1 to 3 and finds them well.
type allHealthy struct{}

func (allHealthy) Check(_ context.Context, q health.Query) *health.Report {
	ms := 12.5
	var found []health.Provider
	for id := int64(1); id <= 3; id++ {
		if len(q.ProviderIDs) > 0 && !contains(q.ProviderIDs, id) {
			continue
		}
		found = append(found, health.Provider{
			ID: id, Key: "p", Status: health.Healthy, AvgResponseTime: &ms, CheckedAt: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
			Models: []health.Model{{Model: strings.Join(q.Models, ",") + q.Timeout.String(), Status: health.Healthy, ResponseTime: &ms}},
		})
	}
	return health.NewReport(found, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
}

func contains(ids []int64, id int64) bool {
	for _, one := range ids {
		if one == id {
			return true
		}
	}
	return false
}

// quiet keeps fasthttp's complaints about broken requests out of the output.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
