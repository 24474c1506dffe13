package sdk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// mockSays is in every answer of the mock provider.
const mockSays = "word word word"

// nodeProgram: the example, with OpenAI's package beside it, prints the answer.
func nodeProgram(t *testing.T, s *scene, x example) {
	node := installed(t)
	dir := t.TempDir()
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	file := s.save(t, filepath.Join(dir, "example.mjs"), x)
	out, err := s.try(t, s.gateway, node, []string{file})
	if err != nil || !strings.Contains(out, mockSays) {
		t.Errorf("%v\n%s", err, out)
	}
}

// goProgram: the example, laid over this module, is built and prints the
// answer.
func goProgram(t *testing.T, s *scene, x example) {
	file := s.save(t, filepath.Join(t.TempDir(), "main.go"), x)
	module, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	folder := "test/sdk/example"
	overlay, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(module, folder, "main.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	where := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(where, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "-C", module, "-overlay", where}
	if raced() { // then the packages are compiled already
		args = append(args, "-race")
	}
	out, err := s.try(t, s.gateway, "go", append(args, "./"+folder), "GOFLAGS="+os.Getenv("GOFLAGS"), "GOPROXY="+os.Getenv("GOPROXY"),
		"GOCACHE="+os.Getenv("GOCACHE"), "GOMODCACHE="+os.Getenv("GOMODCACHE"))
	if err != nil || !strings.Contains(out, mockSays) {
		t.Errorf("%v\n%s", err, out)
	}
}

// raced reports whether this test was built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// pythonChecks compiles a file and looks for names that nothing defines: the
// file uses a few at its top and no functions.
const pythonChecks = `
import ast, builtins, py_compile, sys
py_compile.compile(sys.argv[1], doraise=True)
tree = ast.parse(open(sys.argv[1], encoding="utf-8").read())
names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
known = {n.id for n in names if isinstance(n.ctx, ast.Store)} | set(dir(builtins))
for node in ast.walk(tree):
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        known |= {(a.asname or a.name).split(".")[0] for a in node.names}
unknown = sorted({n.id for n in names} - known)
sys.exit(f"undefined: {unknown}" if unknown else 0)
`

// python: the example compiles, and uses no name that it does not define. It is run
// only where the package openai is installed: these tests install what they
// need from Debian and npm, and that package comes from PyPI alone. A module
// that only pretends to be it would prove nothing. What it sends, and what it
// makes of the answer, is held by the SDKs in Node and Go, which are generated
// from the same description.
func python(t *testing.T, s *scene, x example) {
	file := s.save(t, filepath.Join(t.TempDir(), "example.py"), x)
	if out, err := s.try(t, s.gateway, "python3", []string{"-c", pythonChecks, file}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := s.try(t, s.gateway, "python3", []string{"-c", "import openai"}); err != nil {
		if !strings.Contains(out, "ModuleNotFoundError") {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Log("python3 has no package openai: the example is compiled, and not run")
		return
	}
	out, err := s.try(t, s.gateway, "python3", []string{file})
	if err != nil || !strings.Contains(out, mockSays) {
		t.Errorf("%v\n%s", err, out)
	}
}

// save writes an example, with the addresses of the scene, into a file.
func (s *scene) save(t *testing.T, file string, x example) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(s.here(t, s.gateway, x.text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
