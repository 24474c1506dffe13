package store_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/store"
)

func TestTheEmbeddedFileIsForUsAlone(t *testing.T) {
	h := sqliteHome(t)
	h.options.Dir = filepath.Join(h.options.Dir, "made", "of many ?#% parts")
	s := h.open(t)
	addProvider(t, s, "one")
	files, err := os.ReadDir(h.options.Dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(file.Name(), sqliteFile) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v; want %s* with 0600", file.Name(), info.Mode().Perm(), sqliteFile)
		}
	}
	if info, err := os.Stat(h.options.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v; want 0700", info.Mode().Perm(), err)
	}
}

func TestAFileThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	f := func(dir string, want ...string) {
		t.Helper()
		s, err := store.Open(store.Options{Dir: dir})
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", dir)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want %q in it", dir, err, part)
			}
		}
	}
	f("", "DATA_DIR", "DB_URL")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f(file, file, "not a directory", "DATA_DIR")
	f(filepath.Join(file, "data"), file, "not a directory", "DATA_DIR")

	isDir := t.TempDir()
	if err := os.Mkdir(filepath.Join(isDir, sqliteFile), 0o700); err != nil {
		t.Fatal(err)
	}
	f(isDir, sqliteFile, "is a directory")

	if os.Geteuid() != 0 { // root may write everywhere
		locked := t.TempDir()
		if err := os.Chmod(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		f(locked, locked, "permission denied", "DATA_DIR")
	}
}

func TestADamagedFileSaysWhatToDo(t *testing.T) {
	f := func(what string, damage func(path string) error) {
		t.Helper()
		h := sqliteHome(t)
		s := h.open(t)
		for i := range 30 {
			addProvider(t, s, fmt.Sprintf("p%d", i))
		}
		s.Close()
		path := filepath.Join(h.options.Dir, sqliteFile)
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(h.options)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", what)
			return
		}
		for _, part := range []string{path, "damaged", "backup"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q in it", what, err, part)
			}
		}
	}
	f("another file", func(path string) error {
		return os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 500)), 0o600)
	})
	f("a hole in the middle", func(path string) error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := len(content) / 4; i < len(content); i++ {
			content[i] = 0xA5
		}
		return os.WriteFile(path, content, 0o600)
	})
	f("cut off", func(path string) error { return os.Truncate(path, 4096+100) })
}

// R46: what is there can be read, and there is no harm done.
func TestADiskThatIsFullFailsWritesOnly(t *testing.T) {
	h := sqliteHome(t)
	s := h.open(t)
	addProvider(t, s, "one")
	full := store.FillDisk(t, s)
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		p := provider(fmt.Sprintf("big-%d", i))
		p.ModelMapping = map[string]string{strings.Repeat("x", 4000): "y"}
		_, err = s.AddProvider(ctx(t), p)
	}
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v, want ErrUnavailable about a full disk", err)
	}
	before := load(t, s)

	full()
	if _, err := s.AddProvider(ctx(t), provider("with space again")); err != nil {
		t.Error(err)
	}
	if after := load(t, s); len(after.Providers) != len(before.Providers)+1 {
		t.Errorf("%d providers after %d", len(after.Providers), len(before.Providers))
	}
}

func TestSettings(t *testing.T) {
	h := sqliteHome(t)
	s := h.open(t).(*store.SQLite)
	if _, err := s.Setting(ctx(t), "admin_key"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	before := version(t, s)
	for _, want := range []string{"one", "two", ""} {
		if err := s.SetSetting(ctx(t), "admin_key", want); err != nil {
			t.Fatal(err)
		}
		if got, err := h.openBare(t).(*store.SQLite).Setting(ctx(t), "admin_key"); got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if version(t, s) != before {
		t.Error("a setting is not configuration, and raised the version")
	}
}

// What the command line tool of SQLite does is seen, and it reads what we write.
func TestTheSQLiteCommandWorksOnTheFile(t *testing.T) {
	tool, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("sqlite3 is not installed: apt-get install sqlite3")
	}
	h := sqliteHome(t)
	s := h.open(t)
	f := follow(t, s)
	addProvider(t, s, "one")
	said, err := exec.Command(tool, filepath.Join(h.options.Dir, sqliteFile),
		".timeout 2000",
		"UPDATE providers SET weight = 77 WHERE provider_key = 'one'",
		"SELECT provider_key, json_extract(model_mapping, '$.gpt-4') FROM providers").CombinedOutput()
	if err != nil || strings.TrimSpace(string(said)) != "one|gpt-4-turbo" {
		t.Fatalf("%s, %v", said, err)
	}
	if took := f.reaches(t, version(t, s)); took > time.Second {
		t.Errorf("seen after %v", took)
	}
	if got := load(t, s).Providers[0].Weight; got != 77 {
		t.Errorf("weight %d, want 77", got)
	}
}

func TestTimesThatAHandWrote(t *testing.T) {
	h := sqliteHome(t)
	s := h.open(t)
	addProvider(t, s, "one")
	f := func(written string, want time.Time) {
		t.Helper()
		h.edit(t, "UPDATE providers SET created_at = "+written)
		if got := load(t, s).Providers[0].CreatedAt; !got.Equal(want) {
			t.Errorf("%s: got %v, want %v", written, got, want)
		}
	}
	f(`'2026-03-01T12:30:00.5Z'`, time.Date(2026, 3, 1, 12, 30, 0, 5e8, time.UTC))
	f(`'2026-03-01T12:30:00+02:00'`, time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC))
	f(`datetime('2026-03-01 12:30')`, time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC))

	h.edit(t, "UPDATE providers SET created_at = 'yesterday'")
	if _, err := s.Load(ctx(t)); err == nil || !strings.Contains(err.Error(), "created_at") || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want an error about created_at", err)
	}
}

// R37: kill -9 in the middle of writing loses nothing that was acknowledged.
func TestAKilledProcessLosesNoAcknowledgedChange(t *testing.T) {
	if dir := os.Getenv("STORE_TEST_WRITE_UNTIL_KILLED"); dir != "" {
		writeUntilKilled(t, dir)
		return
	}
	h := sqliteHome(t)
	s := h.open(t)
	p := addProvider(t, s, "one")
	s.Close()

	child := exec.Command(os.Args[0], "-test.run=^TestAKilledProcessLosesNoAcknowledgedChange$")
	child.Env = append(os.Environ(), "STORE_TEST_WRITE_UNTIL_KILLED="+h.options.Dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for acknowledged < p.Weight+20 {
		if _, err := fmt.Fscanln(out, &acknowledged); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	s = h.open(t)
	if got := load(t, s).Providers[0].Weight; got < acknowledged || got > acknowledged+2 {
		t.Errorf("weight %d, the last that was acknowledged is %d", got, acknowledged)
	}
}

func writeUntilKilled(t *testing.T, dir string) {
	s, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for {
		weight := 0
		if _, err := s.ChangeProvider(ctx(t), 1, func(p *config.Provider) error { p.Weight++; weight = p.Weight; return nil }); err != nil {
			t.Fatal(err)
		}
		fmt.Println(weight)
	}
}
