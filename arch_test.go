// Package llmproxy holds no code: these tests keep the tree in the shape that
// docs/ARCHITECTURE.md draws.
package llmproxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// floors are the rooms of the house, from the ground up. Imports point down;
// rooms of one floor do not know each other.
var floors = [][]string{
	{"balance", "breaker", "budget", "ratelimit", "openai", "tokens", "usage", "metrics", "config", "migrations", "web", "demo", "downstream", "overload", "tracing", "logging", "bench/loadgen", "bench/mockllm/provider", "profiling"},
	{"upstream", "store"},
	{"route", "health"},
	{"server", "admin"},
	{"cmd/llm-proxy"},
}

// plain is the room whose types everyone may use.
const plain = "config"

const (
	maxFileLines     = 450
	maxFunctionLines = 80
)

// source is one parsed Go file.
type source struct {
	name  string // with slashes, from the root of the tree
	room  string // its folder
	test  bool
	file  *ast.File
	lines int
}

var fset = token.NewFileSet()

// walk calls f with every file of the tree that is the project's own.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	foreign := []string{".git", "node_modules", "bin", "data", "dist"}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(foreign, d.Name()):
			return fs.SkipDir
		case d.Type().IsRegular():
			f(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses all Go files, whatever system they are for.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	walk(t, func(name string) {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			return
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &source{
			name: name, room: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			file: file, lines: fset.File(file.Pos()).LineCount(),
		})
	})
	if len(all) < 20 {
		t.Fatalf("only %d Go files found", len(all))
	}
	return all
}

// imports are the rooms that a file imports.
func (s *source) imports() []string {
	var rooms []string
	for _, spec := range s.file.Imports {
		if room, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "llmproxy/"); ok {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// floor is the number of a room's floor, -1 for a room on none.
func floor(room string) int {
	return slices.IndexFunc(floors, func(rooms []string) bool { return slices.Contains(rooms, room) })
}

// support reports whether a room serves the tests, the measuring, or the
// writing of files that are in the tree, alone.
func support(room string) bool {
	return strings.HasPrefix(room, "internal/") || strings.HasPrefix(room, "bench/") || room == "deploy/grafana/generate"
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		from := floor(s.room)
		if s.test || support(s.room) && from < 0 {
			continue
		}
		if from < 0 {
			t.Errorf("%s: the room %s is on no floor; give it one in arch_test.go and docs/ARCHITECTURE.md", s.name, s.room)
			continue
		}
		for _, room := range s.imports() {
			switch to := floor(room); {
			case room == plain:
			case support(room) && to < 0:
				t.Errorf("%s imports %s, which is for tests", s.name, room)
			case to >= from:
				t.Errorf("%s, on floor %d, imports %s, on floor %d", s.name, from+1, room, to+1)
			}
		}
	}
}

// TestSupportStandsOnTheGround: what serves the tests knows the lowest floor
// only, so that every room's tests may use it.
func TestSupportStandsOnTheGround(t *testing.T) {
	for _, s := range sources(t) {
		if !support(s.room) || s.test {
			continue
		}
		for _, room := range s.imports() {
			if floor(room) != 0 && !support(room) {
				t.Errorf("%s imports %s", s.name, room)
			}
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	said, packages := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		packages[s.room] = true
		doc := s.file.Doc.Text()
		if strings.HasPrefix(doc, "Package "+s.file.Name.Name+" ") || strings.HasPrefix(doc, "Command ") {
			if said[s.room] {
				t.Errorf("%s: the package comment of %s stands twice", s.name, s.room)
			}
			said[s.room] = true
		}
	}
	for room := range packages {
		if !said[room] {
			t.Errorf("%s: no file begins with its package comment", room)
		}
	}
}

func TestPackagesAreNouns(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "models", "handlers", "lib", "misc", "base", "types"}
	for _, s := range sources(t) {
		if slices.Contains(vague, s.file.Name.Name) || slices.Contains(vague, path.Base(s.room)) {
			t.Errorf("%s: %q says nothing of what is in it", s.name, s.file.Name.Name)
		}
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: does it have one subject?", s.name, s.lines, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d: are its headings its callees?", s.name, f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func TestNothingHappensBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init", s.name)
			}
		}
	}
}

// TestSettingsComeFromOnePlace: only the program and package config look at
// the environment; every other room is told what it needs.
func TestSettingsComeFromOnePlace(t *testing.T) {
	readers := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	for _, s := range sources(t) {
		if s.test || support(s.room) || s.room == "config" || strings.HasPrefix(s.room, "cmd/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(readers, sel.Sel.Name) {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "os" {
					t.Errorf("%s: os.%s", fset.Position(n.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// The text of the tree.

// written are the files that people write, by their ends.
var written = regexp.MustCompile(`(\.(go|md|sh|sql|ya?ml|mjs|txtar|html|css)|Makefile|Dockerfile|\.ci/run)$`)

// forbidden are phrases that have no place in the project, with the reason.
var forbidden = []struct {
	phrase *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`), "promises later work"},
	{regexp.MustCompile(`(?i)\bnot (yet )?implemented\b`), "promises later work"},
	{regexp.MustCompile(`(^|[^\w.~/-])/(work|root|home|Users)/\w`), "is a path of one machine"},
	{regexp.MustCompile(`(^|[^\w.~/-])/tmp/\w`), "is a path of one machine"},
	{regexp.MustCompile(`registry\.npmjs\.|proxy\.golang\.|sum\.golang\.|deb\.debian\.|security\.debian\.|\bpypi\.org`), "names a package registry"},
	{regexp.MustCompile(`(?i)\bissue #?\d`), "points at a tracker that the reader may not have"},
	{regexp.MustCompile(`\bshared/`), "points outside the tree"},
	{regexp.MustCompile(`(?i)\bas an? (AI|language model)\b|\b(Claude|ChatGPT) (wrote|generated)`), "speaks of who typed it"},
}

// texts calls f with every file that people write, but for this one, which
// has the phrases in it.
func texts(t *testing.T, f func(name, text string)) {
	t.Helper()
	walk(t, func(name string) {
		if !written.MatchString(name) || name == "arch_test.go" || strings.Contains(name, "/vendor/") {
			return
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f(name, string(b))
	})
}

func TestTreeSpeaksOfItselfAlone(t *testing.T) {
	texts(t, func(name, text string) {
		number := 0
		for line := range strings.Lines(text) {
			number++
			for _, p := range forbidden {
				if found := p.phrase.FindString(line); found != "" {
					t.Errorf("%s:%d: %q %s", name, number, strings.TrimSpace(found), p.reason)
				}
			}
		}
	})
}

// TestDocumentsThatAreNamedExist: a comment or page that sends its reader to
// another page sends them to one that is there.
func TestDocumentsThatAreNamedExist(t *testing.T) {
	exist := map[string]bool{}
	walk(t, func(name string) { exist[path.Base(name)] = true })
	document := regexp.MustCompile(`[\w./:-]*\b[\w-]+\.md\b`)
	texts(t, func(name, text string) {
		for _, named := range document.FindAllString(text, -1) {
			if !strings.Contains(named, "://") && !exist[path.Base(named)] {
				t.Errorf("%s names %s, which is not in the tree", name, named)
			}
		}
	})
}

// TestLockFilesNameNoHosts: packages are named by name, version and sum;
// where they are fetched from is the machine's affair.
func TestLockFilesNameNoHosts(t *testing.T) {
	walk(t, func(name string) {
		if path.Base(name) != "package-lock.json" && path.Base(name) != ".npmrc" {
			return
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if resolved := regexp.MustCompile(`"resolved": *"http|registry *=`).Find(b); resolved != nil {
			t.Errorf("%s: %s", name, resolved)
		}
	})
}
