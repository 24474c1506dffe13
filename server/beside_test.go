package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The data plane reads the table that serves and nothing else of route.Live:
// whoever reloads builds the next one (cmd/llm-proxy, admin), so that no
// request ever waits for it.
func TestNoRequestBuildsATable(t *testing.T) {
	builds := []string{"Reload", "Refresh", "Apply", "Build"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read, reads := 0, 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		read++
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if ok && slices.Contains(builds, s.Sel.Name) {
				t.Errorf("%s: %s", fset.Position(s.Pos()), s.Sel.Name)
			}
			if ok && s.Sel.Name == "Table" {
				reads++
			}
			return true
		})
	}
	if read < 20 || reads == 0 {
		t.Errorf("%d files with %d readers of the table are no test", read, reads)
	}
}
