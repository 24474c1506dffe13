package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/internal/pgtest"
	"llmproxy/migrations"
	"llmproxy/store"
)

func TestMigratingUpDownAndUp(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		m := h.migrator(t)
		at := func(want int) {
			t.Helper()
			got, dirty, err := m.Version(ctx(t))
			if err != nil || got != want || dirty {
				t.Fatalf("version %d, dirty %v, %v; want %d", got, dirty, err, want)
			}
		}
		up := func() {
			t.Helper()
			if err := m.Up(ctx(t)); err != nil {
				t.Fatal(err)
			}
			at(migrations.Newest())
		}
		at(0)
		up()
		up() // nothing to do

		s := h.open(t)
		addProvider(t, s, "one")
		for v := migrations.Newest(); v > 0; v-- {
			at(v)
			if err := m.Down(ctx(t)); err != nil {
				t.Fatal(err)
			}
		}
		at(0)
		if err := m.Down(ctx(t)); err == nil || !strings.Contains(err.Error(), "no migration") {
			t.Errorf("one step too many: %v", err)
		}

		// A store that loses its tables says how to get them, and goes on when they are back.
		_, err := s.Load(ctx(t))
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "llm-proxy migrate up") {
			t.Errorf("without tables: %v", err)
		}
		up()
		addProvider(t, s, "one")
	})
}

func TestADatabaseOfANewerBinary(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		newer := migrations.Newest() + 6
		h.edit(t, fmt.Sprintf("UPDATE schema_migrations SET version = %d", newer))

		for what, err := range map[string]error{"migrate": s.Migrate(ctx(t)), "down": h.migrator(t).Down(ctx(t))} {
			for _, part := range []string{fmt.Sprintf("version %d,", newer), fmt.Sprintf("up to %d", migrations.Newest()), "upgrade the binary", "llm-proxy migrate down"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%s: got %v, want %q in it", what, err, part)
				}
			}
		}
		load(t, s) // what it still understands it serves
	})
}

func TestADirtyVersionNamesTheCommandThatMendsIt(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		h.edit(t, "UPDATE schema_migrations SET dirty = true")
		newest := migrations.Newest()
		mend := fmt.Sprintf("llm-proxy migrate force %d", newest)
		for what, err := range map[string]error{"migrate": s.Migrate(ctx(t)), "down": h.migrator(t).Down(ctx(t))} {
			if err == nil || !strings.Contains(err.Error(), mend) || !strings.Contains(err.Error(), "dirty") {
				t.Errorf("%s: got %v, want %q in it", what, err, mend)
			}
		}
		if v, dirty, err := h.migrator(t).Version(ctx(t)); v != newest || !dirty || err != nil {
			t.Errorf("version %d, dirty %v, %v", v, dirty, err)
		}

		if err := h.migrator(t).Force(ctx(t), newest); err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(ctx(t)); err != nil {
			t.Errorf("after the command: %v", err)
		}
		for _, unknown := range []int{-1, newest + 1} {
			if err := h.migrator(t).Force(ctx(t), unknown); err == nil {
				t.Errorf("force %d: no error", unknown)
			}
		}
	})
}

// golang-migrate alone would leave a dirty version behind, and a person to
// mend it; here a migration and the note of it are one transaction.
func TestAMigrationThatFailsLeavesNothingBehind(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		// In the way of the last of the tables.
		h.edit(t, "CREATE TABLE config_version (id int)")
		s := h.openBare(t)
		err := s.Migrate(ctx(t))
		if err == nil || !strings.Contains(err.Error(), "config_version") || strings.Contains(err.Error(), "CREATE TABLE providers") {
			t.Errorf("got %v, want a short error about config_version", err)
		}
		if v, dirty, err := h.migrator(t).Version(ctx(t)); v != 0 || dirty || err != nil {
			t.Errorf("version %d, dirty %v, %v; want a clean 0", v, dirty, err)
		}
		if _, err := h.hand.ExecContext(ctx(t), "SELECT * FROM providers"); err == nil {
			t.Error("half of the migration is there")
		}

		h.edit(t, "DROP TABLE config_version")
		if err := s.Migrate(ctx(t)); err != nil {
			t.Errorf("with nothing in the way: %v", err)
		}
		load(t, s)
	})
}

func TestGatewaysThatStartAtOnceMigrateOnce(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		const gateways = 6
		stores := make([]store.Store, gateways)
		for i := range stores {
			stores[i] = h.openBare(t)
		}
		errs := make([]error, gateways)
		var group sync.WaitGroup
		for i, s := range stores {
			group.Go(func() { errs[i] = s.Migrate(ctx(t)) })
		}
		group.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("gateway %d: %v", i, err)
			}
		}
		if v := load(t, stores[0]).Version; v != 1 {
			t.Errorf("version %d, want 1", v)
		}
	})
}

func TestAMigrationLockThatIsNotGivenBackDoesNotHangTheStart(t *testing.T) {
	store.SetLockTime(t, time.Second)
	h := postgresHome(t, pgtest.New(t))
	m := h.migrator(t)
	if _, _, err := m.Version(ctx(t)); err != nil { // makes golang-migrate's own table
		t.Fatal(err)
	}
	holder, err := h.hand.Conn(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	// Whatever golang-migrate locks, a table lock is in its way too.
	if _, err := holder.ExecContext(ctx(t), "BEGIN; LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	err = m.Up(ctx(t))
	if took := time.Since(began); took > 10*time.Second || !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("after %v: %v", took, err)
	}
	if _, err := holder.ExecContext(ctx(t), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := m.Up(ctx(t)); err != nil {
		t.Errorf("with the lock given back: %v", err)
	}
}
