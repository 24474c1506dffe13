package deploy

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
)

// inReadOnly begins a process whose root is the image's, read-only but for
// /data, as the image's user, who can gain nothing by exec.
//
// Where this process may mount, the root is mounted read-only. Elsewhere it is
// the owner of the files, root, who keeps the user from writing: see
// shutFiles.
func (i *image) inReadOnly(words, env []string) *exec.Cmd {
	const mounted = `mount --bind "$0" "$0" && mount --bind "$0/data" "$0/data" && mount -o remount,bind,ro "$0" && exec "$@"`
	argv := append([]string{
		"setpriv", "--no-new-privs", "chroot", fmt.Sprintf("--userspec=%d:%d", i.uid, i.gid), "--groups=", i.root,
	}, words...)
	if mayMount() {
		argv = append([]string{"unshare", "--mount", "sh", "-c", mounted, i.root}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...) // PATH is for the words before the image's
	return cmd
}

// mayMount reports whether a mount namespace may be had.
var mayMount = sync.OnceValue(func() bool {
	return exec.Command("unshare", "--mount", "mount", "--bind", "/", "/").Run() == nil
})

// shutFiles makes all of the tree but /data unwritable for the image's user
// where there is no read-only mount. Without it only /tmp is open to him.
func (i *image) shutFiles(t *testing.T) {
	t.Helper()
	if mayMount() {
		return
	}
	if err := os.Chmod(filepath.Join(i.root, "tmp"), 0o755); err != nil { //nolint:gosec // less than before
		t.Fatal(err)
	}
}

// emptyData makes /data as it is in the image.
func (i *image) emptyData(t *testing.T) {
	t.Helper()
	data := filepath.Join(i.root, "data")
	left, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if err := os.RemoveAll(filepath.Join(data, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// environment is the image's, with changes, as docker run -e makes them.
func (i *image) environment(changes ...string) []string {
	var env []string
	for name, value := range i.env {
		env = append(env, name+"="+value)
	}
	return append(env, changes...) // of two values the last counts
}

// container is a gateway on its way: the image's own command, or a unit's.
type container struct {
	url, key string
	cmd      *exec.Cmd
	exited   chan struct{}
	started  time.Duration // until the first 200

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

func (c *container) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.Write(b)
}

func (c *container) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.String()
}

// start runs the image until the test ends.
func (i *image) start(t *testing.T) *container {
	t.Helper()
	return begin(t, i.inReadOnly(slices.Concat(i.entrypoint, i.cmd), i.environment("HOST=127.0.0.1", "PORT=0")))
}

// begin runs a gateway until the test ends, and waits until it serves.
func begin(t *testing.T, cmd *exec.Cmd) *container {
	t.Helper()
	c := &container{cmd: cmd, exited: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = c, c
	since := time.Now()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait(); close(c.exited) }()
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); <-c.exited })

	address := regexp.MustCompile(`(?m)^llm-proxy \S+ on (http://\S+)$`)
	c.await(t, "say where it listens", func() bool {
		m := address.FindStringSubmatch(c.output())
		if m != nil {
			c.url = m[1]
		}
		return m != nil
	})
	c.await(t, "serve /health", func() bool {
		resp, err := http.Get(c.url + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	c.started = time.Since(since)
	if m := regexp.MustCompile(`client key\s+(sk-\S+)`).FindStringSubmatch(c.output()); m != nil {
		c.key = m[1]
	}
	return c
}

// await looks every few milliseconds whether something has come true.
func (c *container) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	look := time.NewTicker(3 * time.Millisecond)
	defer look.Stop()
	limit := time.After(startLimit)
	for !done() {
		select {
		case <-look.C:
		case <-c.exited:
			t.Fatalf("it ended (%v) before it could %s:\n%s", c.cmd.ProcessState, what, c.output())
		case <-limit:
			t.Fatalf("it did not %s within %v:\n%s", what, startLimit, c.output())
		}
	}
}

// stop asks the process to end and returns its exit code.
func (c *container) stop(t *testing.T) int {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.exited:
	case <-time.After(stopLimit):
		t.Fatalf("it did not end within %v:\n%s", stopLimit, c.output())
	}
	return c.cmd.ProcessState.ExitCode()
}

// ask sends a chat request that streams.
func (c *container) ask(t *testing.T, key string) *http.Response {
	t.Helper()
	body := `{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}`
	q, err := http.NewRequest(http.MethodPost, c.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+key)
	q.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	return resp
}

// TestImageRuns: it starts as nobody in particular on a read-only root, serves,
// passes its own health check, ends in order, the stream that is open included,
// and finds its keys again at the next start.
func TestImageRuns(t *testing.T) {
	i := assemble(t)
	i.shutFiles(t)
	i.emptyData(t)
	c := i.start(t)
	t.Logf("first 200 after %v, read-only by mount: %v", c.started.Round(time.Millisecond), mayMount())
	i.checkConfinement(t, c)

	_, port, _ := strings.Cut(strings.TrimPrefix(c.url, "http://"), ":")
	health := i.inReadOnly(i.health, i.environment("HOST=127.0.0.1", "PORT="+port))
	if out, err := health.CombinedOutput(); err != nil {
		t.Errorf("HEALTHCHECK %q: %v\n%s", i.health, err, out)
	}

	resp := c.ask(t, c.key)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if code := c.stop(t); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, c.output())
	}
	if rest, err := io.ReadAll(lines); err != nil || !bytes.Contains(rest, []byte("data: [DONE]")) {
		t.Errorf("the stream that was open did not come to its end: %v\n%s", err, rest)
	}

	health = i.inReadOnly(i.health, i.environment("HOST=127.0.0.1", "PORT="+port))
	if err := health.Run(); err == nil {
		t.Error("HEALTHCHECK is content with a gateway that has ended")
	}
	again := i.start(t)
	again.ask(t, c.key).Body.Close()
	if code := again.stop(t); code != 0 {
		t.Errorf("the second time: exit code %d", code)
	}
}

// checkConfinement reads from the kernel what the process may do.
func (i *image) checkConfinement(t *testing.T, c *container) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", i.uid), fmt.Sprintf("Gid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", i.gid),
		"NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("/proc/PID/status lacks %q:\n%s", want, status)
		}
	}
	if groups := regexp.MustCompile(`(?m)^Groups:[ \t]*(.*?)[ \t]*$`).FindSubmatch(status); groups == nil || len(groups[1]) > 0 {
		t.Errorf("it is in more groups: %q", groups)
	}
	if mayMount() {
		i.checkMounts(t, proc)
		return
	}
	i.walk(t, func(name string, info fs.FileInfo) {
		mine := int(info.Sys().(*syscall.Stat_t).Uid) == i.uid
		if (mine || info.Mode().Perm()&0o002 != 0) && name != "/data" && !strings.HasPrefix(name, "/data/") {
			t.Errorf("%s may be written: %v", name, info.Mode())
		}
	})
}

// checkMounts demands that the root is mounted read-only and /data is not.
func (i *image) checkMounts(t *testing.T, proc string) {
	t.Helper()
	b, err := os.ReadFile(proc + "mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for at, option := range map[string]string{"/": "ro", "/data": "rw"} {
		line := regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ ` + at + ` (\S+)`).FindSubmatch(b)
		if line == nil || !slices.Contains(strings.Split(string(line[1]), ","), option) {
			t.Errorf("%s: mounted %q, want %s\n%s", at, line, option, b)
		}
	}
}

// walk calls f with everything in the image, named as seen from inside.
func (i *image) walk(t *testing.T, f func(name string, info fs.FileInfo)) {
	t.Helper()
	err := filepath.WalkDir(i.root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		f("/"+strings.TrimPrefix(strings.TrimPrefix(file, i.root), "/"), info)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// maxImageBytes is what the image may grow to before somebody looks why.
const maxImageBytes = 64 << 20

// TestImageHoldsOneProgram: one static binary, root certificates, and nothing
// that helps an intruder; small.
func TestImageHoldsOneProgram(t *testing.T) {
	i := assemble(t)
	var files []string
	var size int64
	i.walk(t, func(name string, info fs.FileInfo) {
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s: %v", name, info.Mode())
		}
		if info.Mode().IsRegular() && !strings.HasPrefix(name, "/data/") {
			files = append(files, name)
			size += info.Size()
		}
	})
	slices.Sort(files)
	if want := []string{"/etc/group", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt", "/llm-proxy"}; !slices.Equal(files, want) {
		t.Errorf("got %q, want %q", files, want)
	}
	t.Logf("the image has %.1f MiB", float64(size)/(1<<20))
	if size > maxImageBytes {
		t.Errorf("the image has %d bytes, more than %d", size, maxImageBytes)
	}
	i.checkProgram(t)
	data, err := os.Stat(filepath.Join(i.root, "data"))
	if err != nil || int(data.Sys().(*syscall.Stat_t).Uid) != i.uid || data.Mode().Perm() != 0o700 {
		t.Errorf("/data: %v, %v", data, err)
	}
	bundle, err := os.ReadFile(filepath.Join(i.root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		t.Errorf("no root certificates: no provider could be reached by TLS: %v", err)
	}
	passwd, err := os.ReadFile(filepath.Join(i.root, "etc/passwd"))
	if want := fmt.Sprintf("llm-proxy:x:%d:%d:", i.uid, i.gid); err != nil || !strings.HasPrefix(string(passwd), want) {
		t.Errorf("/etc/passwd: %q, %v", passwd, err)
	}
}

// checkProgram demands a binary that needs no other file to run.
func (i *image) checkProgram(t *testing.T) {
	t.Helper()
	f, err := elf.Open(filepath.Join(i.root, i.entrypoint[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs %q, %v", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a loader")
		}
	}
}
