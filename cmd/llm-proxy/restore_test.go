package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// backupPage has the commands, in this order, of docs/operating.md.
type backupPage struct{ saveFiles, restoreFiles, saveDatabase, restoreDatabase string }

// readBackupPage reads the commands, so that what is tried is what is written.
func readBackupPage(t *testing.T) backupPage {
	t.Helper()
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Backup and restore\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	return backupPage{blocks[0][1], blocks[1][1], blocks[2][1], blocks[3][1]}
}

// typeIn types as an operator does, in a folder with the gateway's data beneath it. A
// program may warn, and may not fail.
func typeIn(t *testing.T, folder, commands string, env ...string) {
	t.Helper()
	cmd := exec.Command("/bin/bash", "-e", "-c", commands)
	cmd.Dir, cmd.Env = folder, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder}, env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, said)
	}
}

// history is a gateway that has served, and what it knows at one moment.
type history struct {
	*gatewaytest.Gateway
	options   gatewaytest.Options
	key, late string         // late was made after the moment
	usage     map[string]any // at the moment
	last      map[string]any // in the end
}

// makeHistory starts a gateway with data in folder/data that has served 20
// requests. The backup is taken while it runs; then it goes on: a key is made,
// and requests are served that the backup does not have.
func makeHistory(t *testing.T, folder string, env map[string]string, backup func()) *history {
	t.Helper()
	data := filepath.Join(folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	h := &history{options: gatewaytest.Options{Dir: data, Env: map[string]string{
		"SECRET_KEY": gatewaytest.NewCanary("secret"), "ADMIN_KEY": gatewaytest.NewCanary("admin"), "LOG_LEVEL": "warn",
	}}}
	maps.Copy(h.options.Env, env)
	h.Gateway = gatewaytest.Start(t, h.options)
	secret := gatewaytest.NewCanary("provider")
	provider := fakeprovider.Start(t, fakeprovider.Options{Key: secret}) // takes no other: it is unsealed
	h.AddProvider(t, map[string]any{"provider_key": "p", "api_base": provider.URL(), "api_key": secret, "model_mapping": map[string]any{"m": "x"}})
	h.Admin(t, http.MethodPost, "/prices/import", map[string]any{"prices": []any{
		map[string]any{"model": "x", "input": 1000, "output": 2000, "source": "a test", "as_of": "2026-01-31"},
	}}, http.StatusOK)
	h.key, _ = h.AddCredential(t, map[string]any{"name": "then"})
	h.serves(t, 20)
	h.usage = h.known(t, 20)
	backup()
	h.late, _ = h.AddCredential(t, map[string]any{"name": "afterwards"})
	h.serves(t, 5)
	h.last = h.known(t, 25)
	return h
}

// serves asks n times, every other one for a stream.
func (h *history) serves(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		body := fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"hello"}]}`, i%2 == 0)
		if status, answer := h.Post(t, "/v1/chat/completions", h.key, body); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
}

// known waits until so many requests are in the ledger, and returns the sums and
// the latest records: all that an administrator sees of usage.
func (h *history) known(t *testing.T, requests int) map[string]any {
	t.Helper()
	var all map[string]any
	has := func() int {
		all = h.Admin(t, http.MethodGet, "/usage?from="+time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)+"&group_by=key,model,provider,outcome", nil, http.StatusOK)
		totals, _ := all["totals"].(map[string]any)
		n, _ := totals["requests"].(float64)
		return int(n)
	}
	if !soon(func() bool { return has() == requests }) {
		t.Fatalf("the ledger has %d requests, want %d: %v", has(), requests, all)
	}
	latest := h.Admin(t, http.MethodGet, "/requests?limit=1000", nil, http.StatusOK)
	return map[string]any{"totals": all["totals"], "rows": all["rows"], "requests": latest["requests"]}
}

// returns starts a gateway on what was restored: it knows what the first one
// knew at the moment of the backup and nothing later, the key of then serves, and
// it goes on from there.
func (h *history) returns(t *testing.T, o gatewaytest.Options) {
	t.Helper()
	again := &history{Gateway: gatewaytest.Start(t, o), key: h.key}
	if got := again.known(t, 20); !reflect.DeepEqual(got, h.usage) {
		t.Errorf("the usage is\n%v\nwant\n%v", got, h.usage)
	}
	if status, _ := again.Post(t, "/v1/chat/completions", h.late, `{"model":"m","messages":[]}`); status != http.StatusUnauthorized {
		t.Errorf("a key that was made after the backup: %d", status)
	}
	again.serves(t, 2)
	again.known(t, 22)
	again.key, _ = again.AddCredential(t, map[string]any{"name": "afterwards"}) // the name is free again
	again.serves(t, 1)
	again.known(t, 23)
}

// TestRestoreOfEmbeddedStore follows docs/operating.md: copies that SQLite made
// while the gateway ran are put back into the folder, which has gone on since.
func TestRestoreOfEmbeddedStore(t *testing.T) {
	t.Parallel()
	page, folder := readBackupPage(t), t.TempDir()
	h := makeHistory(t, folder, nil, func() { typeIn(t, folder, page.saveFiles) })
	h.Stop(t)
	typeIn(t, folder, page.restoreFiles)
	for _, name := range []string{"llm-proxy.db", "usage.db"} {
		if at, err := os.Stat(filepath.Join(folder, "data", name)); err != nil || at.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v: others may read it", at, err)
		}
	}
	h.returns(t, h.options)
}

// TestRestoreOfDataDir: DATA_DIR as a whole, of a gateway that was stopped,
// serves elsewhere, and lacks nothing.
func TestRestoreOfDataDir(t *testing.T) {
	t.Parallel()
	h := makeHistory(t, t.TempDir(), nil, func() {})
	h.Stop(t)
	o := h.options
	o.Dir = filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(o.Dir, os.DirFS(h.options.Dir)); err != nil {
		t.Fatal(err)
	}
	again := &history{Gateway: gatewaytest.Start(t, o), key: h.late}
	if got := again.known(t, 25); !reflect.DeepEqual(got, h.last) {
		t.Errorf("the usage is\n%v\nwant\n%v", got, h.last)
	}
	again.serves(t, 2)
	again.known(t, 27)
}

// TestRestoreOfDatabase follows docs/operating.md: what pg_dump wrote while the
// gateway ran is put into an empty database, where the gateway goes on with its
// DATA_DIR, whose snapshot and journal have gone on since.
func TestRestoreOfDatabase(t *testing.T) {
	t.Parallel()
	page, folder, database := readBackupPage(t), t.TempDir(), pgtest.New(t)
	h := makeHistory(t, folder, map[string]string{"DB_URL": database}, func() { typeIn(t, folder, page.saveDatabase, "DB_URL="+database) })
	h.Stop(t)
	restored := pgtest.New(t)
	typeIn(t, folder, page.restoreDatabase, "DB_URL="+restored)
	h.options.Env["DB_URL"] = restored
	h.returns(t, h.options)
}
