package store_test

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid" // for its flags

	"llmproxy/config"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
)

func TestMain(m *testing.M) {
	// Each step of a property is a commit to a disk; -rapid.steps asks for more.
	if err := flag.Set("rapid.steps", "10"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(pgtest.Run(m))
}

const sqliteFile = "llm-proxy.db"

// home is where one test's configuration lives, in either database.
type home struct {
	options store.Options
	hand    *sql.DB // the hand of an operator: psql, or the sqlite3 command
}

// forBoth runs a test with PostgreSQL and with SQLite: they must behave alike.
func forBoth(t *testing.T, f func(t *testing.T, h *home)) {
	t.Run("postgresql", func(t *testing.T) { f(t, postgresHome(t, pgtest.New(t))) })
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteHome(t)) })
}

func postgresHome(t *testing.T, url string) *home {
	t.Helper()
	return &home{options: store.Options{URL: url}, hand: handOn(t, "pgx/v5", url)}
}

func sqliteHome(t *testing.T) *home {
	t.Helper()
	dir := t.TempDir()
	return &home{options: store.Options{Dir: dir}, hand: handOn(t, "sqlite", filepath.Join(dir, sqliteFile))}
}

func handOn(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	hand, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hand.Close() })
	return hand
}

// open opens the store, with migrated tables.
func (h *home) open(t *testing.T) store.Store {
	t.Helper()
	s := h.openBare(t)
	if err := s.Migrate(ctx(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

// openBare opens the store as it is.
func (h *home) openBare(t *testing.T) store.Store {
	t.Helper()
	s, err := store.Open(h.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// migrator returns the migrator of the home's database.
func (h *home) migrator(t *testing.T) *store.Migrator {
	t.Helper()
	m, err := store.OpenMigrator(h.options)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// edit does by hand what psql or sqlite3 does.
func (h *home) edit(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := h.hand.ExecContext(ctx(t), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// bytes returns what lies on the disk for the configuration.
func (h *home) bytes(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	if h.options.URL == "" {
		files, err := filepath.Glob(filepath.Join(h.options.Dir, sqliteFile+"*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no database files: %v", err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(content)
		}
		return all.String()
	}
	h.edit(t, "CHECKPOINT")
	for _, relation := range []string{"providers", "credentials", "providers_provider_key_key"} {
		var content []byte
		row := h.hand.QueryRowContext(ctx(t), "SELECT pg_read_binary_file(pg_relation_filepath($1))", relation)
		if err := row.Scan(&content); err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

// ctx is a context no correct step of a test needs to the end.
func ctx(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func provider(key string) *config.Provider {
	idle := int64(1500)
	return &config.Provider{
		Key: key, Type: "openai", APIBase: "https://" + key + ".example/v1", APIKey: config.Secret("upstream-key-of-" + key),
		ModelMapping: map[string]string{"gpt-4": "gpt-4-turbo", "claude-*": "anthropic/*", "<&> ü": "é\\\"\n"},
		Params:       config.Params{IdleTimeoutMS: &idle},
		Weight:       3, Priority: 2, Enabled: true,
	}
}

func credential(name string) *config.Credential {
	rate, budget := int64(100), 25*config.OneUSD
	return &config.Credential{
		Hash: config.HashKey("sk-" + name), Preview: "sk-ab…wxyz", Name: name,
		AllowedModels: []string{"gpt-4", "claude-*"}, RateLimit: &rate, Enabled: true,
		TPMLimit: new(int64(5000)), Budget: &budget, BudgetPeriod: config.PeriodDay, MaxConcurrency: new(int64(8)),
		ExpiresAt: time.Date(2031, 2, 3, 4, 5, 6, 7e6, time.UTC),
	}
}

func addPrice(t *testing.T, s store.Store, model string) *config.Price {
	t.Helper()
	cached := 5 * config.OneUSD / 4
	p := &config.Price{
		Model: model, Provider: "openai-main", Input: 5 * config.OneUSD / 2, Output: 10 * config.OneUSD, CachedInput: &cached,
		Source: "https://example.com/pricing", AsOf: "2026-01-31",
	}
	if _, err := s.AddPrice(ctx(t), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func addProvider(t *testing.T, s store.Store, key string) *config.Provider {
	t.Helper()
	p := provider(key)
	if _, err := s.AddProvider(ctx(t), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func addCredential(t *testing.T, s store.Store, name string) *config.Credential {
	t.Helper()
	c := credential(name)
	if _, err := s.AddCredential(ctx(t), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func load(t *testing.T, s store.Store) *config.Set {
	t.Helper()
	set, err := s.Load(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func version(t *testing.T, s store.Store) int64 {
	t.Helper()
	v, _, err := s.Version(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
