package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The script beside a program that says what it was asked: what is right is
// handed on, what is wrong never reaches a database.
func TestTheMigrationScript(t *testing.T) {
	root := t.TempDir()
	script, err := os.ReadFile(filepath.Join("..", "scripts", "db_migrate.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		"scripts/db_migrate.sh": string(script),
		"bin/llm-proxy":         "#!/bin/sh\necho \"asked: $*\"\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}

	f := func(url, arguments string, code int, want string) {
		t.Helper()
		command := exec.Command(filepath.Join(root, "scripts", "db_migrate.sh"), strings.Fields(arguments)...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "DB_URL=" + url}
		said, _ := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != code || !strings.Contains(string(said), want) {
			t.Errorf("%q: exit %d, want %d with %q in\n%s", arguments, got, code, want, said)
		}
	}
	f("postgresql://x", "up", 0, "asked: migrate up\n")
	f("postgresql://x", "down", 0, "asked: migrate down\n")
	f("postgresql://x", "version", 0, "asked: migrate version\n")
	f("postgresql://x", "force 12", 0, "asked: migrate force 12\n")
	f("", "up", 2, "DB_URL is not set")
	f("postgresql://x", "", 2, "usage:")
	f("postgresql://x", "sideways", 2, "sideways")
	f("postgresql://x", "up 3", 2, "nothing more")
	f("postgresql://x", "force", 2, "one version")
	f("postgresql://x", "force -1", 2, "whole number")
}
