package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/store"
)

// exampleSet is a configuration as a store loads it.
func exampleSet(version int64) *config.Set {
	at := time.Date(2026, 3, 1, 12, 30, 0, 123456000, time.UTC)
	p, c := *provider("openai-main"), *credential("team")
	p.ID, p.CreatedAt, p.UpdatedAt, p.APIKey = 7, at, at.Add(time.Hour), canary
	c.ID, c.CreatedAt, c.UpdatedAt = 9, at, at.Add(time.Hour)
	bare := config.Credential{ID: 10, Hash: config.HashKey("bare"), Name: "bare", AllowedModels: []string{}, BudgetPeriod: config.PeriodMonth, CreatedAt: at, UpdatedAt: at}
	cached := config.OneUSD / 10
	price := config.Price{ID: 3, Model: "gpt-4o", Input: config.OneUSD, Output: 4 * config.OneUSD, CachedInput: &cached, AsOf: "2026-01-31", CreatedAt: at, UpdatedAt: at}
	return &config.Set{Version: version, Providers: []config.Provider{p}, Credentials: []config.Credential{c, bare}, Prices: []config.Price{price}}
}

// forEachKey runs a test with a snapshot sealed by SECRET_KEY, and by a key beside it.
func forEachKey(t *testing.T, f func(t *testing.T, dir string, open func() *store.Snapshot)) {
	for name, secret := range map[string]string{"secret key": "a secret of some length", "key file": ""} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data") // it is made
			f(t, dir, func() *store.Snapshot { return store.NewSnapshot(dir, store.NewSealer(secret)) })
		})
	}
}

func TestASnapshotComesBackAsItWasSaved(t *testing.T) {
	forEachKey(t, func(t *testing.T, dir string, open func() *store.Snapshot) {
		if _, _, err := open().Load(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before the first: got %v, want ErrNotFound", err)
		}
		for _, want := range []*config.Set{
			exampleSet(41), exampleSet(42),
			{Version: 43, Providers: []config.Provider{}, Credentials: []config.Credential{}, Prices: []config.Price{}},
		} {
			before := time.Now().Add(-time.Second)
			if err := open().Save(want); err != nil {
				t.Fatal(err)
			}
			got, at, err := open().Load()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if at.Before(before) || at.After(time.Now()) {
				t.Errorf("saved at %v", at)
			}
		}
	})
}

func TestASnapshotIsSealedAndOurs(t *testing.T) {
	forEachKey(t, func(t *testing.T, dir string, open func() *store.Snapshot) {
		if err := open().Save(exampleSet(1)); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			info, err := file.Info()
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v; want 0600", file.Name(), info.Mode().Perm(), err)
			}
			if strings.HasSuffix(file.Name(), ".tmp") {
				t.Errorf("%s was left behind", file.Name())
			}
		}
		content, err := os.ReadFile(open().Path())
		if err != nil {
			t.Fatal(err)
		}
		for _, plain := range []string{"CANARY", "openai-main", "gpt-4", config.HashKey("bare")} {
			if bytes.Contains(content, []byte(plain)) {
				t.Errorf("the snapshot holds %s", plain)
			}
		}
	})
}

func TestASnapshotThatWasTouchedIsAnError(t *testing.T) {
	forEachKey(t, func(t *testing.T, dir string, open func() *store.Snapshot) {
		if err := open().Save(exampleSet(1)); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(open().Path())
		if err != nil {
			t.Fatal(err)
		}
		f := func(what string, content []byte) {
			t.Helper()
			if err := os.WriteFile(open().Path(), content, 0o600); err != nil {
				t.Fatal(err)
			}
			set, _, err := open().Load()
			if err == nil || !strings.Contains(err.Error(), open().Path()) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: got %v, %v; want an error that names the file", what, set, err)
			}
		}
		f("empty", nil)
		f("garbage", []byte("garbage"))
		for _, n := range []int{1, 20, len(whole) / 2, len(whole) - 1} {
			f(fmt.Sprintf("cut to %d bytes", n), whole[:n])
		}
		for i := 0; i < len(whole); i += 7 {
			changed := bytes.Clone(whole)
			changed[i] ^= 1
			f(fmt.Sprintf("byte %d changed", i), changed)
		}
		if err := os.WriteFile(open().Path(), whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := open().Load(); err != nil {
			t.Errorf("put back: %v", err)
		}
	})
}

func TestTheWrongKeyOfASnapshotIsNamed(t *testing.T) {
	dir := t.TempDir()
	f := func(sealer *store.Sealer, want string) {
		t.Helper()
		_, _, err := store.NewSnapshot(dir, sealer).Load()
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if err := store.NewSnapshot(dir, store.NewSealer("one")).Save(exampleSet(1)); err != nil {
		t.Fatal(err)
	}
	f(store.NewSealer("another"), "SECRET_KEY")
	f(nil, "snapshot.key") // which there is none of

	// A key file that is not one.
	if err := store.NewSnapshot(dir, nil).Save(exampleSet(1)); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "snapshot.key")
	for _, content := range []string{"", "short", strings.Repeat("A", 44) + "="} {
		if err := os.WriteFile(key, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f(nil, "snapshot.key")
		if err := store.NewSnapshot(dir, nil).Save(exampleSet(1)); err == nil || !strings.Contains(err.Error(), "snapshot.key") {
			t.Errorf("saving with the key %q: %v", content, err)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	// With the key gone the next Save makes another.
	if err := store.NewSnapshot(dir, nil).Save(exampleSet(5)); err != nil {
		t.Fatal(err)
	}
	if set, _, err := store.NewSnapshot(dir, nil).Load(); err != nil || set.Version != 5 {
		t.Errorf("got %v, %v", set, err)
	}
}

func TestASnapshotWithNowhereToGoIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := store.NewSnapshot(filepath.Join(file, "data"), nil)
	if err := s.Save(exampleSet(1)); err == nil || !strings.Contains(err.Error(), "snapshot") {
		t.Errorf("save: %v", err)
	}
	if _, _, err := s.Load(); err == nil {
		t.Error("load: no error")
	}
}

// Several gateways may share a directory: none sees half a file, and all use
// the one key that came first.
func TestSnapshotsSavedAtOnce(t *testing.T) {
	forEachKey(t, func(t *testing.T, dir string, open func() *store.Snapshot) {
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				s := open()
				for range 5 {
					if err := s.Save(exampleSet(int64(i + 1))); err != nil {
						t.Error(err)
					}
					if _, _, err := s.Load(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	})
}

// A process that is killed while it writes leaves a temporary file, which
// nobody needs: an old one is removed, a fresh one may be another process's.
func TestOldTemporaryFilesAreSwept(t *testing.T) {
	dir := t.TempDir()
	snapshot := store.NewSnapshot(dir, nil)
	old, fresh := snapshot.Path()+".1.tmp", snapshot.Path()+".2.tmp"
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Save(&config.Set{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
}
