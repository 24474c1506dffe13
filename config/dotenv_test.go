package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func writeEnv(t interface {
	Helper()
	Fatal(...any)
}, dir, content string,
) string {
	t.Helper()
	path := filepath.Join(dir, ".env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDotEnv(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		lookup, err := DotEnv(writeEnv(t, t.TempDir(), content), env{"OUTER": "environment"}.lookup)
		if err != nil {
			t.Errorf("%q: %v", content, err)
			return
		}
		inner, _ := lookup("INNER")
		outer, _ := lookup("OUTER")
		if got := inner + "|" + outer; got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
	f("", "|environment")
	f("INNER=file\nOUTER=file\n", "file|environment")
	f("# comment\r\nexport INNER='a b'\r\n", "a b|environment")
	f("\xef\xbb\xbfINNER=file", "file|environment")
	f("INNER=\"two\nlines\"\n", "two\nlines|environment")
	f("INNER=pa'ss#word # comment", "pa'ss#word|environment")
	f("INNER='$x$'", "$x$|environment")
}

func TestDotEnvThatIsNotThere(t *testing.T) {
	lookup, err := DotEnv(filepath.Join(t.TempDir(), ".env"), env{"OUTER": "environment"}.lookup)
	if err != nil {
		t.Fatal(err)
	}
	if value, ok := lookup("OUTER"); !ok || value != "environment" {
		t.Errorf("OUTER is %q, %v", value, ok)
	}
}

func TestMalformedDotEnvNamesTheLine(t *testing.T) {
	const canary = "CANARY-1618"
	f := func(content, want string) {
		t.Helper()
		path := writeEnv(t, t.TempDir(), content)
		lookup, err := DotEnv(path, env{"OUTER": "environment"}.lookup)
		if err == nil {
			t.Errorf("%q is accepted", content)
			return
		}
		if !strings.HasPrefix(err.Error(), path+want+": ") || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v, want line %s and no value", content, err, want)
		}
		if value, _ := lookup("OUTER"); value != "environment" {
			t.Errorf("%q: the environment is gone", content)
		}
	}
	f(canary+"\n", ":1")
	f(canary, ":1")
	f("A=1\n\n# x\nB C="+canary+"\nD=2\n", ":4")
	f("A=1\nB='"+canary+"\nC=2\n", ":2")
	f("A=\"two\nlines\"\n!"+canary+"=1\n", ":3")
	f("A=\"x\" "+canary+"\n", ":1")
	f("A=1\n="+canary+"\n", ":2")
	f(strings.Repeat("A=1\n", 300)+"?"+canary+strings.Repeat("\nB=1", 300), ":301")
	f(strings.Repeat("A=1\n", 20000), "")
}

func TestDotEnvThatIsADirectory(t *testing.T) {
	if _, err := DotEnv(t.TempDir(), env{}.lookup); err == nil {
		t.Error("a directory is accepted")
	}
}

// TestDotEnvNeverTells holds for any file: what is wrong with it is said
// without showing what is in it.
func TestDotEnvNeverTells(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		const canary = "CANARY1618"
		piece := rapid.SampledFrom([]string{canary, "A", "=", "\n", "\r\n", "'", "\"", "#", " ", "export ", "$", "{A}", ":", "\\", "\x00", "ä"})
		content := strings.Join(rapid.SliceOf(piece).Draw(t, "content"), "")
		if _, err := DotEnv(writeEnv(t, dir, content), env{}.lookup); err != nil && strings.Contains(err.Error(), canary) {
			t.Fatalf("%q: %v", content, err)
		}
	})
}
