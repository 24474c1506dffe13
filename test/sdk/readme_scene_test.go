package sdk

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmproxy/internal/gatewaytest"
)

// scene is what the examples of a README are tried in: a gateway, and behind it
// a provider that answers by itself. The addresses of a page are those of the
// reader's machine, and are replaced.
type scene struct {
	mock    string // http://127.0.0.1:port/v1
	gateway *gatewaytest.Gateway
}

func newScene(t *testing.T) *scene {
	t.Helper()
	mock := startMock(t)
	return &scene{mock: mock, gateway: readerGateway(t, mock, nil)}
}

// readerGateway has a provider 1, for every model, and a client key 1, as the
// reader's who came to that place of the page.
func readerGateway(t *testing.T, mock string, settings map[string]string) *gatewaytest.Gateway {
	t.Helper()
	g := gatewaytest.Start(t, gatewaytest.Options{Env: settings})
	g.AddProvider(t, map[string]any{"provider_key": "mock", "api_base": mock})
	g.Key(t)
	return g
}

var listening = regexp.MustCompile(`on (http://\S+/v1)`)

// startMock runs `llm-proxy mock` until the test ends and returns its address.
func startMock(t *testing.T) string {
	t.Helper()
	program, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "mock", "--host", "127.0.0.1", "--port", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how a provider ends is not asked here
	})
	line := make([]byte, 1024) // one write of the program, and one line
	n, err := out.Read(line)
	m := listening.FindSubmatch(line[:n])
	if m == nil {
		t.Fatalf("llm-proxy mock said %q, %v", line[:n], err)
	}
	return string(m[1])
}

// here puts the scene's addresses in the place of those of the page.
func (s *scene) here(t *testing.T, g *gatewaytest.Gateway, text string) string {
	t.Helper()
	address := strings.TrimPrefix(g.URL, "http://")
	program, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		"localhost:18000", address, "127.0.0.1:18000", address,
		"https://api.openai.com/v1", s.mock, "bin/llm-proxy", program,
	).Replace(text)
}

// shell makes bash stop at the first command that fails and end what it left
// running, curl fail for an answer of 400 and above, and make only say what it
// would do.
const shell = `set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
curl() { command curl -sS --fail-with-body --max-time 30 "$@"; echo; }
make() { command make --no-print-directory -n -C "$PROJECT" "$@"; env >"$SETTINGS"; }
`

// run executes an example of bash in an empty folder and returns what it
// printed. KEY and ADMIN_KEY are the gateway's.
func (s *scene) run(t *testing.T, g *gatewaytest.Gateway, text string, env ...string) string {
	t.Helper()
	out, err := s.try(t, g, "bash", []string{"-c", shell + s.here(t, g, text)}, env...)
	if err != nil {
		t.Errorf("%v: %s\n%s", err, text, out)
	}
	return out
}

// try executes a program in an empty folder.
func (s *scene) try(t *testing.T, g *gatewaytest.Gateway, program string, args []string, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	project, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "NO_PROXY=127.0.0.1,localhost",
		"PROJECT=" + project, "SETTINGS=" + filepath.Join(cmd.Dir, "settings"),
		"KEY=" + g.Key(t), "ADMIN_KEY=" + g.AdminKey,
	}, env...)
	// When the time is over, what it started ends with it: it is a group of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	return out.String(), err
}

// freePort is one that nobody has at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
