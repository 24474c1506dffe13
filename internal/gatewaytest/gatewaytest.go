// Package gatewaytest runs the real program: built once for a test process,
// started with settings of its own in a folder of its own, asked over the
// network, stopped by a signal.
//
//	func TestMain(m *testing.M) { os.Exit(gatewaytest.Run(m)) }
//
//	func TestX(t *testing.T) {
//		g := gatewaytest.Start(t)
//		g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), …})
//		… ask g.URL with g.Key(t) …
//
// When the test ends the gateway must exit with 0, and nothing that it said,
// on stdout, on stderr or in its metrics, may hold a secret that it was given:
// see Canary. Under the race detector the program is built with it too.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 30 * time.Second // a loaded machine under the race detector is slow
	stopLimit  = 20 * time.Second
)

// Options are what a Gateway is started with. The zero value is a gateway with
// an embedded store in an empty folder.
type Options struct {
	Env  map[string]string // settings; DB_URL for PostgreSQL
	Args []string          // after "serve"
	Dir  string            // working folder and DATA_DIR; a new one when empty
	// Socket is a listening socket to pass on, as systemd's socket activation
	// does; HOST and PORT say nothing then.
	Socket *os.File
	// Account is whom the process runs as; nil: as the test. Dir must let it in.
	Account *syscall.Credential
	// MayFail takes an exit code other than 0 for granted.
	MayFail bool
}

// Gateway is a running llm-proxy.
type Gateway struct {
	URL      string // http://127.0.0.1:port, without /v1
	AdminKey string
	Dir      string

	cmd     *exec.Cmd
	out     output
	exited  chan struct{} // closed when the process has ended
	code    int           // valid after exited
	mayFail bool
	client  *http.Client

	mu       sync.Mutex // guards what follows
	canaries []string
	key      string
	stopped  bool
}

// Start runs a gateway until the test ends.
func Start(tb testing.TB, opts ...Options) *Gateway {
	tb.Helper()
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	program, err := Binary()
	if err != nil {
		tb.Fatal(err)
	}
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	g := &Gateway{
		AdminKey: NewCanary("admin"), Dir: o.Dir, mayFail: o.MayFail,
		exited: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{}, Timeout: startLimit},
	}
	g.Canary(g.AdminKey)
	g.cmd = exec.Command(program, append([]string{"serve"}, o.Args...)...)
	if o.Socket != nil {
		// The process must be told its own number, which only a shell knows in advance.
		g.cmd = exec.Command("/bin/sh", append([]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`, program, "serve"}, o.Args...)...)
		g.cmd.ExtraFiles = []*os.File{o.Socket}
	}
	g.cmd.Dir = o.Dir
	g.cmd.Env = g.environment(o.Env)
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.out
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.Account}
	if err := g.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go g.wait()
	tb.Cleanup(func() { g.finish(tb) })
	g.awaitStart(tb)
	return g
}

// environment is what the process sees of the world: little.
func (g *Gateway) environment(settings map[string]string) []string {
	env := map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": g.Dir, "ADMIN_KEY": g.AdminKey,
		"LOG_LEVEL": "debug", "SHUTDOWN_GRACE_SECS": "5",
		"PATH": os.Getenv("PATH"), "HOME": g.Dir, "GORACE": "exitcode=66 atexit_sleep_ms=50",
	}
	maps.Copy(env, settings)
	if key := env["ADMIN_KEY"]; key != g.AdminKey {
		g.AdminKey = key
		g.Canary(key)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func (g *Gateway) wait() {
	_ = g.cmd.Wait() // the code says it all
	g.code = g.cmd.ProcessState.ExitCode()
	close(g.exited)
}

var announced = regexp.MustCompile(`(?m)^llm-proxy \S+ on (https?://\S+)$`)

// awaitStart waits until the gateway has said where it listens and is alive.
func (g *Gateway) awaitStart(tb testing.TB) {
	tb.Helper()
	deadline := time.After(startLimit)
	for {
		text, changed := g.out.read()
		if m := announced.FindStringSubmatch(text); m != nil {
			g.URL = m[1]
			break
		}
		select {
		case <-changed:
		case <-g.exited:
			tb.Fatalf("llm-proxy ended with %d at its start:\n%s", g.code, g.Output())
		case <-deadline:
			tb.Fatalf("llm-proxy did not start within %v:\n%s", startLimit, g.Output())
		}
	}
	if strings.HasPrefix(g.URL, "https:") {
		return // who wants TLS has the certificate, and asks for itself
	}
	if status, body := g.Get(tb, "/health", ""); status != http.StatusOK {
		tb.Fatalf("/health: %d %s", status, body)
	}
}

// Output is everything that the gateway has printed so far.
func (g *Gateway) Output() string {
	text, _ := g.out.read()
	return text
}

// Signal sends a signal to the process.
func (g *Gateway) Signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := g.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Fatal(err)
	}
}

// Pid is the number of the process.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }

// Stop asks the gateway to end and returns its exit code.
func (g *Gateway) Stop(tb testing.TB) int {
	tb.Helper()
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.Signal(tb, syscall.SIGTERM)
	return g.Wait(tb)
}

// Wait waits until the process has ended and returns its exit code.
func (g *Gateway) Wait(tb testing.TB) int {
	tb.Helper()
	select {
	case <-g.exited:
	case <-time.After(stopLimit):
		_ = g.cmd.Process.Kill()
		<-g.exited
		tb.Errorf("llm-proxy did not end within %v:\n%s", stopLimit, g.Output())
	}
	return g.code
}

// Kill ends the process at once, as a machine that dies does.
func (g *Gateway) Kill(tb testing.TB) {
	tb.Helper()
	g.mayFail = true
	g.Signal(tb, syscall.SIGKILL)
	g.Wait(tb)
}

// finish stops the gateway, if it runs, and looks at what it left behind.
func (g *Gateway) finish(tb testing.TB) {
	select {
	case <-g.exited:
	default:
		g.checkMetrics(tb)
		g.Stop(tb)
	}
	g.client.CloseIdleConnections()
	text := g.Output()
	g.checkSecrets(tb, "the output", text)
	if strings.Contains(text, "WARNING: DATA RACE") {
		tb.Errorf("a data race in llm-proxy:\n%s", text)
	} else if g.code != 0 && !g.mayFail {
		tb.Errorf("llm-proxy ended with %d:\n%s", g.code, text)
	}
	if strings.Contains(text, "panic") && strings.Contains(text, "goroutine ") {
		tb.Errorf("llm-proxy panicked:\n%s", text)
	}
	if tb.Failed() {
		tb.Logf("llm-proxy said:\n%s", text)
	}
}

// Binary builds the program, once for a test process, and returns its path.
var Binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "llm-proxy-test-")
	if err != nil {
		return "", err
	}
	built = dir
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // for other accounts to run what is in it
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	args := []string{"build", "-buildvcs=false", "-o", dir + "/llm-proxy"}
	if raced {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "llmproxy/cmd/llm-proxy")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return dir + "/llm-proxy", nil
})

// built is the folder that Run removes.
var built string

// Run runs the tests of a package, removes what was built for them, and
// returns the exit code.
func Run(m interface{ Run() int }) int {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	return code
}
