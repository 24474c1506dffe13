package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/gatewaytest"
)

// S05: an admin key that can be guessed is refused at the start, by name and
// without a word of it; an empty one opens nothing.
func TestAdminKeyThatCanBeGuessed(t *testing.T) {
	program, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ADMIN_KEY", "METRICS_KEY", "SECRET_KEY"} {
		for _, value := range []string{"k", "123456", "root", "passwd7"} {
			cmd := exec.Command(program, "serve")
			cmd.Dir = t.TempDir()
			cmd.Env = []string{name + "=" + value, "PORT=0"}
			said, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != 2 || !bytes.Contains(said, []byte(name)) || len(value) > 1 && bytes.Contains(said, []byte(value)) {
				t.Errorf("%s=%s: %v\n%s", name, value, err, said)
			}
		}
	}
	g := firstRun(t, "ADMIN_KEY=", "METRICS_KEY=")
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer \"\"", "Basic Og=="} {
		if got := ask(t, g.url, "GET", "/admin/v1/providers", header); got != 401 {
			t.Errorf("an empty ADMIN_KEY, Authorization %q: %d", header, got)
		}
	}
}

// S09, S32: a start without any setting listens on the loopback alone, makes
// keys that nobody has, keeps them in files that nobody else reads, and lets
// nobody in with a key that everybody knows.
func TestStartWithoutSettings(t *testing.T) {
	a, b := firstRun(t), firstRun(t)
	keys := append(a.keys(t), b.keys(t)...)
	for i, key := range keys {
		if at := slices.Index(keys, key); at != i || len(key) < 40 {
			t.Errorf("key %d is like key %d, or short: %d characters", i, at, len(key))
		}
	}
	if host, _, _ := net.SplitHostPort(strings.TrimPrefix(a.url, "http://")); host != "127.0.0.1" {
		t.Errorf("it serves on %s", a.url)
	}
	if runtime.GOOS == "linux" {
		found := listening(t, a.cmd.Process.Pid) // the demo provider among them
		if len(found) == 0 || slices.ContainsFunc(found, func(at string) bool { return !strings.HasPrefix(at, "0100007F:") }) {
			t.Errorf("it listens on %q, want ports of 127.0.0.1", found)
		}
	}
	for _, key := range []string{"", "123456", "admin", "password", "root", "changeme", "sk-1234", "sk-admin", "master", "secret", "default", "llm-proxy", "test", "demo", "null", "undefined"} {
		for _, path := range []string{"/v1/models", "/admin/v1/providers", "/health/detailed"} {
			if got := ask(t, a.url, "GET", path, "Bearer "+key); got != 401 && got != 429 {
				t.Errorf("%s with the key %q: %d", path, key, got)
			}
		}
	}
	err := filepath.WalkDir(a.cmd.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", d.Name(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// freshProcess is a gateway as somebody starts it who has read nothing.
type freshProcess struct {
	cmd *exec.Cmd
	out *transcript
	url string
}

// firstRun starts the program in an empty folder, with these settings alone.
func firstRun(t *testing.T, env ...string) *freshProcess {
	t.Helper()
	program, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &freshProcess{cmd: exec.Command(program), out: &transcript{}}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"PORT=0"}, env...) // the port alone is not the default: others may have it
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	if !soon(func() bool { return strings.Contains(p.out.String(), "is it up") }) {
		t.Fatalf("it does not start:\n%s", p.out)
	}
	p.url = regexp.MustCompile(`https?://\S+`).FindString(p.out.String())
	return p
}

// keys are those that it has made.
func (p *freshProcess) keys(t *testing.T) []string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  (?:client|admin) key +(\S+)$`).FindAllStringSubmatch(p.out.String(), -1)
	if len(found) != 2 {
		t.Fatalf("keys in\n%s", p.out)
	}
	return []string{found[0][1], found[1][1]}
}

// listening are the local addresses of the process's listening TCP sockets, as
// /proc/net spells them: hexadecimal, of the machine's byte order.
func listening(t *testing.T, pid int) (found []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	own := map[string]bool{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		to, _ := os.Readlink(filepath.Join(dir, f.Name())) // it may be closed by now
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		rows, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a machine without IPv6
		}
		for line := range strings.Lines(string(rows)) {
			const listens = "0A"
			if f := strings.Fields(line); len(f) > 9 && f[3] == listens && own[f[9]] {
				found = append(found, f[1])
			}
		}
	}
	return found
}

// S12: an address that a metadata service has is not asked, whatever its
// spelling, and the answer does not tell why. S14: keys that are guessed are
// counted, at both doors that the admin key opens.
func TestMetadataAndGuesses(t *testing.T) {
	g := gatewaytest.Start(t)
	for i, base := range []string{
		"http://169.254.169.254/latest", "http://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]", "http://[64:ff9b::a9fe:a9fe]", "http://[64:ff9b:1::a9fe:a9fe]", "http://[2002:a9fe:a9fe::1]",
		"http://[fec0::1]", "http://0.0.0.0:" + g.URL[strings.LastIndexByte(g.URL, ':')+1:], "http://100.100.100.200",
	} {
		model := fmt.Sprintf("m%d", i)
		g.AddProvider(t, map[string]any{"provider_key": model, "api_base": base, "model_mapping": map[string]string{model: "m"}})
		began := time.Now()
		status, answer := g.Post(t, "/v1/chat/completions", g.Key(t), `{"model":"`+model+`"}`)
		if took := time.Since(began); status != 502 || strings.Contains(answer, "169.254") || strings.Contains(answer, "address") || took > 2*time.Second {
			t.Errorf("%s: %d %s after %v", base, status, answer, took)
		}
	}
	for _, path := range []string{"/admin/v1/providers", "/admin/v1/auth/validate", "/health/detailed", "/health/detailed"} {
		g.Get(t, path, "sk-a-guess")
	}
	g.Get(t, "/v1/models", "sk-no-guess-of-the-admins")
	if n := g.Metric(t, "llm_proxy_wrong_admin_keys_total"); n != 4 {
		t.Errorf("%v wrong admin keys were counted, want 4", n)
	}
}

// S06: neither Host nor any form of the target opens another door of the whole
// program than the path's own.
func TestHostOpensNoDoor(t *testing.T) {
	g := gatewaytest.Start(t)
	key := "Authorization: Bearer " + g.Key(t) + "\r\n"
	f := func(target, host, lines string, want int) {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", target, host, lines)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s, Host %s, %q: %d, want %d", target, host, lines, resp.StatusCode, want)
		}
	}
	const door = "/admin/v1/providers"
	for _, host := range []string{"x", "localhost", "127.0.0.1", "health", "x.evil.example:80"} {
		f(door, host, "", 401)
		f(door, host, key, 401)
		f("http://localhost"+door, host, key, 401)
		f("http://health/..//../"+door, host, key, 404)
		f("/health", host, "X-Original-Url: "+door+"\r\nX-Rewrite-Url: "+door+"\r\n", 200)
		f("/v1/models", host, "X-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\nX-Forwarded-User: admin\r\nCookie: key=x\r\n", 401)
	}
}
