package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// comparers are the functions that decide whether a key is right: every one
// hashes what came and, if it compares, does so in constant time.
var comparers = map[string]struct{ hash, constantTime bool }{
	"admin.IsAdmin":         {true, true},
	"cmd/llm-proxy.Matches": {true, true},
	"server.scrape":         {true, true},
	"route.Caller":          {true, false}, // a map by hash: its time tells of hashes, not of keys
}

// S13: keys are hashed, hashes are compared in constant time, and nowhere in
// the program is a secret compared by other means (but with nothing at all).
func TestKeysAreComparedByHash(t *testing.T) {
	files, found := 0, 0
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || name == "internal" || name == "bench") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, "../../"+name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if want, ok := comparers[path.Dir(name)+"."+fn.Name.Name]; ok {
				found++
				if calls(fn, "sha256", "Sum256") != want.hash || calls(fn, "subtle", "ConstantTimeCompare") != want.constantTime {
					t.Errorf("%s: %s compares otherwise", name, fn.Name.Name)
				}
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if n != nil && comparesSecret(n) {
					t.Errorf("%s: a secret is compared", set.Position(n.Pos()))
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != len(comparers) || files < 100 {
		t.Errorf("%d of %d functions were found in %d files", found, len(comparers), files)
	}
}

// calls reports whether a function calls pkg.name.
func calls(fn *ast.FuncDecl, pkg, name string) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		found = found || ok && isSelector(call.Fun, pkg, name)
		return !found
	})
	return found
}

// comparesSecret reports whether n compares a secret with something that is
// not empty: by an operator, a switch, or a function that stops at the first
// difference.
func comparesSecret(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		compares := n.Op == token.EQL || n.Op == token.NEQ
		return compares && (secret(n.X) && !empty(n.Y) || secret(n.Y) && !empty(n.X))
	case *ast.SwitchStmt:
		return n.Tag != nil && secret(n.Tag)
	case *ast.CallExpr:
		for _, pkg := range []string{"bytes", "strings", "slices", "reflect", "cmp"} {
			for _, name := range []string{"Equal", "EqualFold", "Compare", "HasPrefix", "HasSuffix", "Contains", "DeepEqual"} {
				if isSelector(n.Fun, pkg, name) && (secret(n.Args[0]) || len(n.Args) > 1 && secret(n.Args[1])) {
					return true
				}
			}
		}
	}
	return false
}

// secret reports whether an expression is a secret that somebody may try to
// guess: what Reveal returns, or a field or variable of such a name.
func secret(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.CallExpr:
		if s, ok := e.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
			return true
		}
		return len(e.Args) == 1 && secret(e.Args[0]) // a conversion
	case *ast.SliceExpr:
		return secret(e.X)
	case *ast.SelectorExpr:
		name = e.Sel.Name
	case *ast.Ident:
		name = e.Name
	}
	switch name {
	case "AdminKey", "AdminKeyHash", "MetricsKey", "SecretKey":
		return true
	}
	return false
}

func empty(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == `""`
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}
