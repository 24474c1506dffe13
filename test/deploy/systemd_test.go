package deploy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const unitsDir = "deploy/systemd"

// units are the services, as systemd names them when they run.
var units = map[string]string{"llm-proxy.service": "llm-proxy.service", "llm-proxy@.service": "llm-proxy@blue.service"}

// unit is a unit's lines, by section and name. What systemd says of them is
// asked of systemd itself; this is to compare them.
type unit map[string][]string

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	u, section := unit{}, ""
	for line := range strings.Lines(read(t, unitsDir+"/"+name)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			u[section] = append(u[section], line)
		}
	}
	return u
}

// lines are the values of a name, in order.
func (u unit) lines(section, name string) (values []string) {
	for _, line := range u[section] {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

func (u unit) one(t *testing.T, section, name string) string {
	t.Helper()
	values := u.lines(section, name)
	if len(values) != 1 {
		t.Fatalf("[%s] %s= is there %d times", section, name, len(values))
	}
	return values[0]
}

// host is a root in which the units are installed as their comments say,
// beside those of the system.
func host(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	f := func(from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(to)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	system := "/usr/lib/systemd/system"
	if !exists(system) {
		t.Fatal(system + " is missing: apt-get install systemd")
	}
	f(system, system)
	f(filepath.Join(tree, unitsDir), "/etc/systemd/system")
	if err := os.MkdirAll(filepath.Join(root, "usr/local/bin"), 0o750); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "usr/local/bin/llm-proxy")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return root
}

// analyze runs systemd-analyze on the units of a root, and returns what it says.
func analyze(t *testing.T, root string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command("systemd-analyze", append([]string{"--root=" + root, "--no-pager"}, args...)...).CombinedOutput()
	return string(out), err
}

// TestUnitsAreValid: systemd has nothing to say of them, with the operators'
// socket and without.
func TestUnitsAreValid(t *testing.T) {
	root := host(t)
	all := []string{"verify", "llm-proxy.service", "llm-proxy.socket", "llm-proxy@blue.service", "llm-proxy@green.service"}
	if said, err := analyze(t, root, append(all, "llm-proxy-admin.socket")...); err != nil || said != "" {
		t.Errorf("%v\n%s", err, said)
	}
	for _, name := range []string{"llm-proxy-admin.socket", "llm-proxy@.service.d"} {
		if err := os.RemoveAll(filepath.Join(root, "etc/systemd/system", name)); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := analyze(t, root, all...); err != nil || said != "" {
		t.Errorf("without the operators' socket: %v\n%s", err, said)
	}
	// With the setting that the file proposes.
	file := filepath.Join(root, "etc/systemd/system/llm-proxy.service")
	proposed := strings.Replace(read(t, unitsDir+"/llm-proxy.service"), "#Environment=ADMIN_ADDR", "Environment=ADMIN_ADDR", 1)
	if err := os.WriteFile(file, []byte(proposed), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := analyze(t, root, all...); err != nil || said != "" || !strings.Contains(proposed, "\nEnvironment=ADMIN_ADDR=127.0.0.1:18001\n") {
		t.Errorf("with ADMIN_ADDR: %v\n%s", err, said)
	}
	// That it would say something.
	if err := os.WriteFile(file, []byte("[Service]\nExecStart=/usr/local/bin/llm-proxy serve\nNoNewPriviliges=yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, _ := analyze(t, root, "verify", "llm-proxy.service"); !strings.Contains(said, "NoNewPriviliges") {
		t.Errorf("a misspelled line is taken: %q", said)
	}
}

// maxExposure is in tenths, of ten at most; what is left is that the gateway
// must talk to the network.
const maxExposure = 15

func TestUnitsAreHardened(t *testing.T) {
	root := host(t)
	for _, name := range units {
		said, err := analyze(t, root, "security", "--offline=true", "--threshold="+strconv.Itoa(maxExposure), name)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		lines := strings.Split(strings.TrimSpace(said), "\n")
		t.Log(lines[len(lines)-1])
	}
}

// TestUnitsAreOne: what is said of the service is said of both of its kinds.
func TestUnitsAreOne(t *testing.T) {
	alone, shared := readUnit(t, "llm-proxy.service")["Service"], readUnit(t, "llm-proxy@.service")["Service"]
	extra := []string{"Sockets=llm-proxy.socket", "NonBlocking=yes", "Environment=DRAIN_DELAY_SECS=1"}
	rest := slices.DeleteFunc(slices.Clone(shared), func(line string) bool { return slices.Contains(extra, line) })
	if !slices.Equal(rest, alone) || len(shared) != len(alone)+len(extra) {
		t.Errorf("they differ by more than %q:\n%q\n%q", extra, alone, shared)
	}
}

// TestUnitsGiveTimeToDrain: systemd waits longer than the gateway needs.
func TestUnitsGiveTimeToDrain(t *testing.T) {
	known := settings(t)
	preset := func(name string) string { return documentedDefault(t, name) }
	for name := range units {
		u := readUnit(t, name)
		env := map[string]string{"DRAIN_DELAY_SECS": preset("DRAIN_DELAY_SECS"), "SHUTDOWN_GRACE_SECS": preset("SHUTDOWN_GRACE_SECS")}
		for _, line := range u.lines("Service", "Environment") {
			k, v, _ := strings.Cut(line, "=")
			if env[k] = v; !known[k] {
				t.Errorf("%s: %s is no setting", name, k)
			}
		}
		needed := 0
		for _, k := range []string{"DRAIN_DELAY_SECS", "SHUTDOWN_GRACE_SECS"} {
			n, err := strconv.Atoi(env[k])
			if err != nil {
				t.Fatal(err)
			}
			needed += n
		}
		if stop, err := strconv.Atoi(u.one(t, "Service", "TimeoutStopSec")); err != nil || stop < needed+5 {
			t.Errorf("%s: killed after %d s, %v; it needs %d", name, stop, err, needed)
		}
	}
}

// documentedDefault is a setting's default in docs/settings.md.
func documentedDefault(t *testing.T, name string) string {
	t.Helper()
	for line := range strings.Lines(read(t, "docs/settings.md")) {
		if cells := strings.Split(line, "|"); len(cells) > 4 && strings.TrimSpace(cells[1]) == "`"+name+"`" {
			return strings.Trim(cells[3], " `")
		}
	}
	t.Fatalf("docs/settings.md: no %s", name)
	return ""
}

// TestSocketIsThePort that is documented, on this machine alone, for the blue one.
func TestSocketIsThePort(t *testing.T) {
	u := readUnit(t, "llm-proxy.socket")
	if got, want := u.one(t, "Socket", "ListenStream"), net.JoinHostPort(documentedDefault(t, "HOST"), documentedDefault(t, "PORT")); got != want {
		t.Errorf("ListenStream=%s, want %s", got, want)
	}
	if got := u.one(t, "Socket", "Service"); got != "llm-proxy@blue.service" {
		t.Errorf("Service=%s", got)
	}
}

// TestOperatorsSocket is another than the clients', for the same service, on
// this machine alone; the gateway can tell it by its name, and both blue and
// green get it, whichever starts.
func TestOperatorsSocket(t *testing.T) {
	u, clients := readUnit(t, "llm-proxy-admin.socket"), readUnit(t, "llm-proxy.socket")
	address, name := u.one(t, "Socket", "ListenStream"), u.one(t, "Socket", "FileDescriptorName")
	if !strings.HasPrefix(address, "127.0.0.1:") || address == clients.one(t, "Socket", "ListenStream") || name != "admin" {
		t.Errorf("%s, named %s", address, name)
	}
	if u.one(t, "Socket", "Service") != clients.one(t, "Socket", "Service") {
		t.Error("it starts another service than the clients' socket")
	}
	if u.one(t, "Socket", "IPAddressDeny") != "any" || u.one(t, "Socket", "IPAddressAllow") != "localhost" {
		t.Errorf("it lets in more than this machine: %q", u["Socket"])
	}
	dropIn := readUnit(t, "llm-proxy@.service.d/admin.conf")
	const socket = "llm-proxy-admin.socket"
	if dropIn.one(t, "Service", "Sockets") != socket || dropIn.one(t, "Unit", "Requires") != socket || dropIn.one(t, "Unit", "After") != socket {
		t.Errorf("the drop-in: %q", dropIn)
	}
	if got := dropIn.one(t, "Service", "Environment"); got != "ADMIN_ADDR="+address {
		t.Errorf("the drop-in sets %s, the socket is on %s", got, address)
	}
}

// listening is a socket as systemd passes it, and its address.
func listening(t *testing.T) (*os.File, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, ln.Addr().String()
}

// TestRestartScript: the new one is started before the old one is stopped, and
// the old one stays when the new one does not come up.
func TestRestartScript(t *testing.T) {
	const fake = `#!/bin/sh
case "$*" in
"--quiet is-active llm-proxy@"*) case " $ACTIVE " in *" ${3#llm-proxy@} "*) exit 0 ;; *) exit 3 ;; esac ;;
esac
echo "$*"
`
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(fake), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	f := func(active, want string, code int) {
		t.Helper()
		cmd := exec.Command("/bin/sh", filepath.Join(tree, unitsDir, "llm-proxy-restart.sh"))
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "SETTLE_SECS=0", "ACTIVE=" + active}
		out, _ := cmd.Output()
		if got := fmt.Sprint(string(out)); got != want || cmd.ProcessState.ExitCode() != code {
			t.Errorf("active: %s: exit code %d\n%swant\n%s", active, cmd.ProcessState.ExitCode(), got, want)
		}
	}
	f("blue", "start llm-proxy@green\nstop llm-proxy@green\n", 1) // green does not come up
	f("green blue", "start llm-proxy@blue\nstop llm-proxy@green\nllm-proxy@blue serves\n", 0)
	f("green", "start llm-proxy@blue\nstop llm-proxy@blue\n", 1)
}
