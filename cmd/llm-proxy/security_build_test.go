package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var reproducible = flag.Bool("reproducible", false, "build the program twice, in two folders (10 s, or a minute where nothing is built yet)")

// S40: the same source makes the same bytes, wherever it lies: with
// -reproducible, as "make reproducible" does. Without it, that whoever builds
// says what that needs.
func TestBuildIsReproducible(t *testing.T) {
	for _, name := range []string{"Makefile", "Dockerfile"} {
		text := tree(t, name)
		for _, flag := range []string{"CGO_ENABLED=0", "-trimpath", "-buildvcs=false"} {
			if !strings.Contains(text, flag) {
				t.Errorf("%s builds without %s", name, flag)
			}
		}
	}
	if !*reproducible {
		return
	}
	if said, err := exec.Command("../../scripts/reproducible.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// S40: what builds and tests the program takes nothing of an unnamed version,
// and runs nothing straight from the network. Images are held to it in deploy.
func TestToolsArePinned(t *testing.T) {
	loose := regexp.MustCompile(`@latest|@main\b|@master\b|:latest\b|\bnpm (i|install)\b|\bnpx\b|(curl|wget)[^\n]*\|\s*(ba)?sh\b|go (install|run) [^\s]+\.[^\s]+/[^@\s]+\s`)
	names := []string{"Makefile", "Dockerfile", "docker-compose.yml"}
	for _, pattern := range []string{"../../scripts/*.sh", "../../.ci/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %q (%v)", pattern, found, err)
		}
		for _, f := range found {
			names = append(names, strings.TrimPrefix(f, "../../"))
		}
	}
	for _, name := range names {
		if found := loose.FindString(tree(t, name)); found != "" {
			t.Errorf("%s: %q", name, found)
		}
	}
	for _, name := range []string{"go.sum", "tools/go.sum", "test/sdk/package-lock.json"} {
		if len(tree(t, name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	if found := regexp.MustCompile(`": "[\^~>*]`).FindString(tree(t, "test/sdk/package.json")); strings.Contains(found, "^") || strings.Contains(found, "~") {
		t.Errorf("test/sdk/package.json: %s", found)
	}
}

// tree reads a file by its name from the root of the source.
func tree(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
