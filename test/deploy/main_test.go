// Package deploy tests what surrounds the gateway where it runs: the image, the
// compose file, the chart, the units of systemd. Each is read by the library,
// or the program, that reads it in use. The image's root file system is put
// together by the Dockerfile's own commands, and started.
//
// It is a module of its own, because those libraries are heavy and no part of
// the program. It knows the program by what it ships: its binary, its
// documentation.
package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// tree is the project's folder, from here.
const tree = "../.."

// confinedEnv, when set, makes this binary start another one behind the
// filter of system calls that it names. See confined_test.go.
const confinedEnv = "LLM_PROXY_TEST_CONFINED"

func TestMain(m *testing.M) {
	if filter := os.Getenv(confinedEnv); filter != "" {
		confine(filter, os.Args[1:])
	}
	code := m.Run()
	removeImage()
	os.Exit(code)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(tree, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settings are the names of all settings, from the page that is made of the
// program's own table.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|").FindAllStringSubmatch(read(t, "docs/settings.md"), -1) {
		names[m[1]] = true
	}
	if len(names) < 30 {
		t.Fatalf("docs/settings.md: only %d settings found", len(names))
	}
	return names
}
