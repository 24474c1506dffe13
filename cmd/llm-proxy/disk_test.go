//go:build linux

package main

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
)

// disk is where a gateway keeps its files, and how it comes to be full.
type disk struct {
	dir  string
	fill func(t *testing.T, g *gatewaytest.Gateway)
	free func(t *testing.T, g *gatewaytest.Gateway)
}

// limited is a disk that takes no byte more from this process: RLIMIT_FSIZE
// needs no rights, and what it refuses fails in write(2) as on a full disk.
func limited(t *testing.T) disk {
	limit := func(most uint64) func(*testing.T, *gatewaytest.Gateway) {
		return func(t *testing.T, g *gatewaytest.Gateway) {
			t.Helper()
			to := unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}
			if err := unix.Prlimit(g.Pid(), unix.RLIMIT_FSIZE, &to, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return disk{dir: t.TempDir(), fill: limit(0), free: limit(unix.RLIM_INFINITY)}
}

// tiny is a disk of two megabytes, where mounts are allowed.
func tiny(t *testing.T) disk {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no mounts here (%v): the limit on files stands for it", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	return disk{
		dir: dir,
		fill: func(t *testing.T, _ *gatewaytest.Gateway) {
			t.Helper()
			file, err := os.Create(ballast)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for err == nil {
				_, err = file.Write(make([]byte, 512))
			}
		},
		free: func(t *testing.T, _ *gatewaytest.Gateway) {
			t.Helper()
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// TestDiskFull (R46): when the disk of the embedded store is full clients do
// not notice, administrators can read and are told 503 when they write, and
// once there is space again all is as before: nothing that was acknowledged is
// lost and the file is whole.
func TestDiskFull(t *testing.T) {
	f := func(name string, make func(*testing.T) disk) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := make(t)
			g := gatewaytest.Start(t, gatewaytest.Options{Dir: d.dir, Env: map[string]string{"OVERLOAD_DELAY_MS": "0"}})
			load := furnish(t, g)
			l := newNotebook(2)
			l.at(g.URL, g.AdminKey)
			stop := write(l, 20)
			d.fill(t, g)
			stop()
			for i := 0; l.change(l.rows[0]); i++ { // there may be room left in a file
				if i == 1000 {
					t.Fatal("everything is written to a full disk")
				}
			}
			began := time.Now()
			g.Admin(t, "POST", "/credentials", map[string]any{"name": "no room"}, 503)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("a write was refused after %v", took)
			}
			g.Admin(t, "GET", "/credentials", nil, 200)
			load.goesOn(t, 20)
			wholeFile(t, d.dir)

			d.free(t, g)
			for _, wrong := range l.check() {
				t.Error(wrong)
			}
			write(l, 20)()
			if n := l.unsure.Load(); n > 0 {
				t.Errorf("%d writes failed although there is space again", n)
			}
			for _, failure := range load.stop() {
				t.Error(failure)
			}
			if code := g.Stop(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			wholeFile(t, d.dir)
			if name == "a tiny disk" {
				d.fill(t, nil)
				if said := refusesToStart(t, d.dir, nil); !strings.Contains(said, "full") {
					t.Errorf("a start on a full disk says %q", said)
				}
				d.free(t, nil)
			}
			again := gatewaytest.Start(t, gatewaytest.Options{Dir: d.dir})
			l.at(again.URL, again.AdminKey)
			for _, wrong := range l.check() {
				t.Errorf("after a restart: %s", wrong)
			}
			l.client.CloseIdleConnections()
		})
	}
	f("no byte more", limited)
	f("a tiny disk", tiny)
}

// furnish makes a provider and a key for clients that ask without pause.
func furnish(t *testing.T, g *gatewaytest.Gateway) *crowd {
	t.Helper()
	provider := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	provider.Handle(unhurried)
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": provider.URL(), "model_mapping": map[string]any{"steady": "x"}})
	key := g.Key(t)
	load := newCrowd(g.URL)
	for i := range 8 {
		load.steady(key, "steady", i%2 == 0)
	}
	return load
}

// write lets the notebook's writers go on until so many writes are acknowledged;
// what it returns ends them.
func write(l *notebook, acknowledged int64) (end func()) {
	stop := make(chan struct{})
	writers := l.write(stop)
	soon(func() bool { return l.acknowledged.Load() >= acknowledged || l.unsure.Load() > 0 })
	return func() {
		close(stop)
		writers.Wait()
	}
}

// wholeFile has SQLite look at every page of the embedded store's file.
func wholeFile(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "llm-proxy.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("the file: %s, %v", verdict, err)
	}
}

// TestSnapshotWithoutSpace (R46, R47): a disk that is full, or that may not be
// written any more, costs the snapshot alone, and it is written when that is
// over, without another change.
func TestSnapshotWithoutSpace(t *testing.T) {
	t.Parallel()
	d := limited(t)
	dir, account := foreignDir(t)
	locked := disk{
		dir:  dir,
		fill: func(t *testing.T, _ *gatewaytest.Gateway) { chmod(t, dir, 0o500) },
		free: func(t *testing.T, _ *gatewaytest.Gateway) { chmod(t, dir, 0o700) },
	}
	f := func(name string, d disk, account *syscall.Credential) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gatewaytest.Start(t, gatewaytest.Options{Dir: d.dir, Account: account, Env: map[string]string{"DB_URL": pgtest.New(t), "OVERLOAD_DELAY_MS": "0"}})
			load := furnish(t, g)
			id := g.AddProvider(t, map[string]any{"provider_key": "q", "api_base": "http://127.0.0.1:9"})
			d.fill(t, g)
			version := g.Admin(t, "PATCH", "/providers/"+strconv.FormatInt(id, 10), map[string]any{"weight": 7}, 200)["version"].(float64)
			if !soon(func() bool { return g.Metric(t, "llm_proxy_snapshot_errors_total") > 0 }) {
				t.Error("nothing says that the snapshot was not written")
			}
			load.goesOn(t, 20)
			d.free(t, g)
			if !soon(func() bool {
				set, _, err := store.NewSnapshot(d.dir, nil).Load()
				return err == nil && set.Version == int64(version)
			}) {
				t.Error("the snapshot is not written although it could be")
			}
			for _, failure := range load.stop() {
				t.Error(failure)
			}
		})
	}
	f("full", d, nil)
	f("no permission", locked, account)
}

// TestStoreWithoutPermission (R47): an embedded store in a directory that may
// not be written refuses to start and says why; when the permission is taken
// away from one that runs, clients do not notice and no harm is done.
func TestStoreWithoutPermission(t *testing.T) {
	t.Parallel()
	dir, account := foreignDir(t)
	chmod(t, dir, 0o500)
	if said := refusesToStart(t, dir, account); !strings.Contains(said, "permission denied") || !strings.Contains(said, "DATA_DIR") {
		t.Errorf("a start without permission says %q", said)
	}

	chmod(t, dir, 0o700)
	g := gatewaytest.Start(t, gatewaytest.Options{Dir: dir, Account: account, Env: map[string]string{"OVERLOAD_DELAY_MS": "0"}})
	load := furnish(t, g)
	l := newNotebook(1)
	l.at(g.URL, g.AdminKey)
	write(l, 5)()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		chmod(t, file, 0o400)
	}
	chmod(t, dir, 0o500)
	write(l, 10)() // by files that are open already, or refused: both will do
	load.goesOn(t, 20)
	for _, file := range files {
		chmod(t, file, 0o600)
	}
	chmod(t, dir, 0o700)
	for _, wrong := range l.check() {
		t.Error(wrong)
	}
	for _, failure := range load.stop() {
		t.Error(failure)
	}
	wholeFile(t, dir)
	l.client.CloseIdleConnections()
}

// refusesToStart runs the program, which must end with 1, and returns what it
// said.
func refusesToStart(t *testing.T, dir string, account *syscall.Credential) string {
	t.Helper()
	program, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	start := exec.CommandContext(ctx, program, "serve")
	start.Env, start.Dir = []string{"PORT=0", "DATA_DIR=" + dir}, "/"
	start.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	said, err := start.CombinedOutput()
	if err == nil || start.ProcessState.ExitCode() != 1 {
		t.Errorf("the start ended with %v", err)
	}
	return string(said)
}

// foreignDir is a directory of an account that permissions mean something to,
// and the account: another one if the test is root's, else the test's own.
func foreignDir(t *testing.T) (string, *syscall.Credential) {
	t.Helper()
	if os.Geteuid() != 0 {
		return t.TempDir(), nil
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "llm-proxy-data-") // t.TempDir lets nobody in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir, &syscall.Credential{Uid: nobody, Gid: nobody}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}
