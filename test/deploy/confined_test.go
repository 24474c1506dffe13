package deploy

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

// confine puts the calls of the system that are named, between spaces, before
// this process, and then becomes another one: as systemd does with
// SystemCallFilter= and SystemCallErrorNumber=EPERM. A socket that was passed
// is passed on as LISTEN_FDS says. It does not return.
func confine(allowed string, argv []string) {
	runtime.LockOSThread()
	os.Unsetenv(confinedEnv)
	if os.Getenv("LISTEN_FDS") != "" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno, // EPERM
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: strings.Fields(allowed)}},
		},
	})
	if err == nil {
		err = syscall.Exec(argv[0], argv, os.Environ()) //nolint:gosec // the test says what
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// callSets are the named sets of systemd, those within others followed.
func callSets(t *testing.T) func(name string) []string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatalf("systemd-analyze: %v: apt-get install systemd", err)
	}
	sets := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(out)) {
		word := strings.TrimSpace(line)
		switch {
		case word == "" || strings.HasPrefix(word, "#"):
		case !strings.HasPrefix(line, " "):
			name = word
		default:
			sets[name] = append(sets[name], word)
		}
	}
	var follow func(string) []string
	follow = func(name string) (calls []string) {
		for _, word := range sets[name] {
			if strings.HasPrefix(word, "@") {
				calls = append(calls, follow(word)...)
			} else {
				calls = append(calls, word)
			}
		}
		return calls
	}
	return follow
}

// allowedCalls are what a unit's SystemCallFilter= lines leave, on this processor.
func allowedCalls(t *testing.T, u unit) []string {
	t.Helper()
	set, allowed := callSets(t), map[string]bool{}
	for _, call := range set("@default") {
		allowed[call] = true
	}
	for _, line := range u.lines("Service", "SystemCallFilter") {
		words, except := strings.CutPrefix(line, "~")
		for _, name := range strings.Fields(words) {
			calls := set(name)
			if len(calls) == 0 {
				t.Errorf("SystemCallFilter=%s: what is %s?", line, name)
			}
			for _, call := range calls {
				allowed[call] = !except
			}
		}
	}
	here, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for call, ok := range allowed {
		if _, known := here.SyscallNames[call]; ok && known {
			names = append(names, call)
		}
	}
	if len(names) < 100 || slices.Contains(names, "mount") || slices.Contains(names, "ptrace") {
		t.Fatalf("SystemCallFilter= leaves %d calls: %q", len(names), names)
	}
	return names
}

// startConfined runs the template's gateway behind its filter of system calls,
// on sockets as systemd passes them, named as their units are.
func startConfined(t *testing.T, state string, u unit, names []string, sockets ...*os.File) *container {
	t.Helper()
	if !seccomp.Supported() {
		unable(t, "this kernel has no filter of system calls", "run it on a Linux with CONFIG_SECCOMP_FILTER=y (zgrep SECCOMP /proc/config.gz), in no sandbox that hides it")
	}
	i := assemble(t)
	cmd := exec.Command(os.Args[0], append([]string{filepath.Join(i.root, "llm-proxy")}, strings.Fields(u.one(t, "Service", "ExecStart"))[1:]...)...)
	cmd.Dir = state
	cmd.ExtraFiles = sockets
	cmd.Env = []string{
		confinedEnv + "=" + strings.Join(allowedCalls(t, u), " "), "SHUTDOWN_GRACE_SECS=5", "ADMIN_KEY=" + composeKey,
		"LISTEN_FDS=" + strconv.Itoa(len(sockets)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
	}
	for _, line := range u.lines("Service", "Environment") {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(line, "%S/llm-proxy", state))
	}
	return begin(t, cmd)
}

// TestUnitServesConfined: the gateway serves, streams, writes its store and
// ends in order behind the unit's filter of system calls, on the socket that
// systemd would pass to it.
func TestUnitServesConfined(t *testing.T) {
	state := t.TempDir()
	socket, address := listening(t)
	c := startConfined(t, state, readUnit(t, "llm-proxy@.service"), []string{"llm-proxy.socket"}, socket)
	if c.url != "http://"+address {
		t.Errorf("it listens on %s, the socket is %s", c.url, address)
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid)); err != nil || !strings.Contains(string(status), "Seccomp:\t2\n") {
		t.Errorf("it is not confined: %v\n%s", err, status)
	}
	c.ask(t, c.key).Body.Close()
	c.endsConfined(t)
	if left, err := os.ReadDir(state); err != nil || len(left) == 0 {
		t.Errorf("nothing was kept in StateDirectory: %v", err)
	}
}

// endsConfined stops it; nothing may have been refused to it.
func (c *container) endsConfined(t *testing.T) {
	t.Helper()
	if code := c.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.output())
	}
	if strings.Contains(c.output(), "operation not permitted") {
		t.Errorf("a call was refused:\n%s", c.output())
	}
}

// TestUnitServesOperatorsConfined: with the operators' socket and its drop-in each
// of the two sockets has its own, whichever comes first, and a profile can be
// taken behind the filter of system calls.
func TestUnitServesOperatorsConfined(t *testing.T) {
	u := readUnit(t, "llm-proxy@.service")
	u["Service"] = append(u["Service"], "Environment="+readUnit(t, "llm-proxy@.service.d/admin.conf").one(t, "Service", "Environment"))
	name := readUnit(t, "llm-proxy-admin.socket").one(t, "Socket", "FileDescriptorName")
	clients, address := listening(t)
	operators, apart := listening(t)
	f := func(c *container, profiles ...string) {
		t.Helper()
		if c.url != "http://"+address {
			t.Errorf("it listens on %s, the socket is %s", c.url, address)
		}
		answers(t, c.url+"/metrics", http.StatusNotFound)
		answers(t, "http://"+apart+"/metrics", http.StatusOK)
		answers(t, "http://"+apart+"/debug/pprof/", http.StatusUnauthorized)
		for _, page := range profiles {
			c.profile(t, "http://"+apart+"/debug/pprof/"+page)
		}
		c.endsConfined(t)
	}
	f(startConfined(t, t.TempDir(), u, []string{"llm-proxy.socket", name}, clients, operators), "profile?seconds=1", "heap", "trace?seconds=1")
	f(startConfined(t, t.TempDir(), u, []string{name, "llm-proxy.socket"}, operators, clients))
}

// profile takes one with the admin key.
func (c *container) profile(t *testing.T, url string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+composeKey)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || len(b) < 100 {
		t.Errorf("%s: %d, %d bytes, %v", url, resp.StatusCode, len(b), err)
	}
}
