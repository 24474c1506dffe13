package sdk

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNode runs the files *.test.mjs with Node's own test runner, each against
// both targets.
func TestNode(t *testing.T) {
	node := installed(t)
	files, err := filepath.Glob("*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Run("direct", func(t *testing.T) { runNode(t, node, file, direct(t)) })
			t.Run("gateway", func(t *testing.T) { runNode(t, node, file, gateway(t, "MAX_BODY_BYTES=64KiB")) })
		})
	}
}

// installed finds Node and installs the packages of package-lock.json.
func installed(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the SDK tests need Node 20 or newer: apt-get install nodejs npm")
	}
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.Stat("node_modules/.package-lock.json"); err == nil && !have.ModTime().Before(lock.ModTime()) {
		return node
	}
	if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return node
}

var passed = regexp.MustCompile(`(?m)^# pass ([1-9]\d*)$`)

// runNode runs one file against one target.
func runNode(t *testing.T, node, file string, x *target) {
	t.Helper()
	control := httptest.NewServer(x.fake.Control())
	defer control.Close()
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=tap", file)
	cmd.Env = append(os.Environ(), x.environment(t)...)
	cmd.Env = append(cmd.Env, "CONTROL_URL="+control.URL)
	out, err := cmd.CombinedOutput()
	if err != nil || !passed.Match(out) {
		t.Errorf("node --test %s: %v\n%s", file, err, out)
	}
}

// environment tells the Node tests what they talk to.
func (x *target) environment(t *testing.T) []string {
	t.Helper()
	env := []string{
		"TARGET=direct", "BASE_URL=" + x.base, "API_KEY=" + x.key, "MODEL=" + x.model, "UPSTREAM_MODEL=" + upstreamModel,
		"SECRET_PROMPT=" + secretPrompt, "SECRET_ANSWER=" + secretAnswer,
	}
	if x.gateway == nil {
		return env
	}
	for name, fields := range map[string]map[string]any{
		"SLOW":   {"name": "slow", "rate_limit": 1},
		"CLOSED": {"name": "closed", "rate_limit": 0},
		"NARROW": {"name": "narrow", "allowed_models": []string{"other*"}},
	} {
		key, _ := x.gateway.AddCredential(t, fields)
		env = append(env, "KEY_"+name+"="+key)
	}
	return append(env, "TARGET=gateway")
}

// TestPackagesArePinned: the lock names one version of the SDK and where it
// comes from is left to the machine.
func TestPackagesArePinned(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) || strings.Contains(string(lock), "://") {
		t.Error("package-lock.json names hosts")
	}
}
