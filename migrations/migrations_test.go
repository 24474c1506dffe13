package migrations_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"llmproxy/migrations"
)

// The numbers have no gaps, every step has a way back, and both databases have
// the same steps: what Newest and the store's messages rely on.
func TestEveryStepIsThereForBothKindsAndBothWays(t *testing.T) {
	for _, kind := range []string{"postgresql", "sqlite"} {
		var want []string
		for version := 1; version <= migrations.Newest(); version++ {
			name := migrations.Name(version)
			if name == "" {
				t.Fatalf("%s: migration %d has no name", kind, version)
			}
			want = append(want,
				fmt.Sprintf("%06d_%s.down.sql", version, name),
				fmt.Sprintf("%06d_%s.up.sql", version, name))
		}
		if got := list(t, kind); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s:\n got %v\nwant %v", kind, got, want)
		}
	}
}

// A file that began or committed by itself would tear the note of its version
// off the change it notes.
func TestNoFileBeginsOrCommits(t *testing.T) {
	transaction := regexp.MustCompile(`(?im)^\s*(BEGIN|START|COMMIT|ROLLBACK)(\s+(TRANSACTION|WORK))?\s*;`)
	for _, kind := range []string{"postgresql", "sqlite", "usage"} {
		for _, name := range list(t, kind) {
			text := read(t, kind, name)
			if !strings.HasSuffix(text, ";\n") {
				t.Errorf("%s/%s does not end in a semicolon and a line end", kind, name)
			}
			if found := transaction.FindString(text); found != "" {
				t.Errorf("%s/%s controls its own transaction: %q", kind, name, found)
			}
		}
	}
}

func TestAnUnknownKindIsAnError(t *testing.T) {
	if _, err := migrations.FS("mysql"); err == nil || !strings.Contains(err.Error(), "mysql") {
		t.Errorf("got %v, want an error that names mysql", err)
	}
	if name := migrations.Name(migrations.Newest() + 1); name != "" {
		t.Errorf("a migration after the newest is called %q", name)
	}
}

func list(t *testing.T, kind string) []string {
	t.Helper()
	folder := open(t, kind)
	names, err := fs.Glob(folder, "*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, kind, name string) string {
	t.Helper()
	text, err := fs.ReadFile(open(t, kind), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func open(t *testing.T, kind string) fs.FS {
	t.Helper()
	folder, err := migrations.FS(kind)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}
