package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
)

// Whatever is wrong with the server, Open does not care, and everything else
// says so soon, without the password.
func TestAServerThatIsNotThere(t *testing.T) {
	f := func(name, url string, want ...string) {
		t.Run(name, func(t *testing.T) {
			h := &home{options: store.Options{URL: url}}
			began := time.Now()
			s := h.openBare(t)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("Open took %v", took)
			}

			one := func(what string, err error) {
				t.Helper()
				if took := time.Since(began); took > 4*time.Second { // the promise is two
					t.Errorf("%s took %v", what, took)
				}
				began = time.Now()
				if !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("%s: got %v, want ErrUnavailable", what, err)
				}
				text := err.Error()
				if strings.Contains(text, "CANARY") || strings.Contains(text, "\n") {
					t.Errorf("%s: the error holds the password, or is not one line: %s", what, text)
				}
				for _, part := range want {
					if !strings.Contains(text, part) {
						t.Errorf("%s: got %s, want %q in it", what, text, part)
					}
				}
			}
			_, _, err := s.Version(ctx(t))
			one("version", err)
			_, _, err = s.Providers(ctx(t))
			one("providers", err)
			_, err = s.AddProvider(ctx(t), provider("x"))
			one("add", err)
			_, err = s.ChangeCredential(ctx(t), 1, func(*config.Credential) error { return nil })
			one("change", err)
			_, err = s.RemoveProvider(ctx(t), 1)
			one("remove", err)
			one("migrate", s.Migrate(ctx(t)))
			short, cancel := context.WithTimeout(ctx(t), time.Second)
			defer cancel()
			_, err = s.Load(short)
			one("load", err)
		})
	}
	f("refuses", refusing(t), "connection refused")
	f("never answers", blackHole(t))
	there := pgtest.New(t)
	f("no such database", strings.Replace(there, "/test_", "/absent_", 1), "absent_")
	f("no such user", strings.Replace(there, "postgres@", "nobody:"+canary+"@", 1), "nobody")
	f("no such host", "postgresql://user:"+canary+"@no-such-host.invalid/db", "no-such-host.invalid")
}

func TestAWrongPassword(t *testing.T) {
	server := pgtest.NewServer(t)
	admin := postgresHome(t, server.URL())
	admin.edit(t, "CREATE ROLE app LOGIN PASSWORD 'right'")
	server.RequirePasswords(t)

	url := strings.Replace(server.URL(), "postgres@", "app:"+canary+"@", 1)
	s := (&home{options: store.Options{URL: url}}).openBare(t)
	_, err := s.Load(ctx(t))
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("got %v", err)
	}

	url = strings.Replace(server.URL(), "postgres@", "app:right@", 1)
	s = (&home{options: store.Options{URL: url}}).openBare(t)
	if _, err := s.Load(ctx(t)); err == nil || !strings.Contains(err.Error(), "migrate up") {
		t.Errorf("with the right one: got %v, want only the tables to be missing", err)
	}
}

// R43: somebody's open transaction on the row must not hold an administrator up
// for long, nor readers at all.
func TestALockThatAnotherHolds(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		p := addProvider(t, s, "one")
		holder, err := h.hand.Conn(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		defer holder.Close()
		begin := "BEGIN"
		if s.Kind() == "sqlite" {
			begin = "BEGIN IMMEDIATE"
		}
		for _, statement := range []string{begin, "UPDATE providers SET weight = 9"} {
			if _, err := holder.ExecContext(ctx(t), statement); err != nil {
				t.Fatal(err)
			}
		}

		began := time.Now()
		_, err = s.ChangeProvider(ctx(t), p.ID, func(*config.Provider) error { return nil })
		if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 8*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if got := load(t, s).Providers[0].Weight; got != p.Weight {
			t.Errorf("weight %d of an open transaction was read", got)
		}
		if _, err := holder.ExecContext(ctx(t), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ChangeProvider(ctx(t), p.ID, func(*config.Provider) error { return nil }); err != nil {
			t.Errorf("with the lock given back: %v", err)
		}
	})
}

func TestACallersContextEndsIt(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		gone, cancel := context.WithCancel(ctx(t))
		cancel()
		if _, err := s.Load(gone); !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		load(t, s)
	})
}

func TestAfterClose(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		s.Close()
		if _, err := s.Load(ctx(t)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		s.Close()
	})
}
