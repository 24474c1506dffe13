package store_test

import (
	"strings"
	"testing"

	"llmproxy/store"
)

func TestABadURLIsRefusedWithoutItsPassword(t *testing.T) {
	f := func(url string, want string) {
		t.Helper()
		s, err := store.Open(store.Options{URL: url})
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", url)
			return
		}
		if text := err.Error(); !strings.Contains(text, want) || !strings.Contains(text, "DB_URL") || strings.Contains(text, "CANARY") || strings.Contains(text, "\n") {
			t.Errorf("%s: got %s, want %q in it, in one line without the password", url, text, want)
		}
		if _, again := store.OpenMigrator(store.Options{URL: url}); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: the migrator says %v, the store %v", url, again, err)
		}
	}
	f("mysql://user:CANARY@host/db", `"mysql"`)
	f("postgresql+asyncpg://user:CANARY@host/db", `"postgresql+asyncpg"`)
	f("user:CANARY@host/db", "not a URL")
	f("host=x password=CANARY", "not a URL")
	f("CANARY@://host", "before ://")
	f("postgresql://user:CANARY/x@host/db", "%2F")
	f("postgresql://user:x/CANARY@host/db", "%2F")
	f("postgresql://user:x@CANARY@host/db", "%40")
	f("postgresql://user:CANARY%zz@host/db", "%25")
	f("postgresql://user:CANARY@host:port/db", "invalid port")
	f("postgresql://user:CANARY@host/db?sslmode=maybe", "sslmode")
	f("postgresql://user:CANARY@host/db?pool_max_conns=many", "pool_max_conns")
	f("postgresql://user:CANARY@host/db?connect_timeout=soon", "connect_timeout")
	f("postgresql://user:CANARY@host/db?sslmode=verify-full&sslrootcert=/no/such/file", "/no/such/file")
	f("postgresql://user@host/db?password=CANARY&sslmode=maybe", "cannot be read")
	f("postgresql://user@host:x?pass%77ord=CANARY", "cannot be read")
}

func TestAGoodURLIsTaken(t *testing.T) {
	for _, url := range []string{
		"postgresql://user:pw@host:5432/db",
		"postgres://user:pw@host/db?sslmode=disable",
		"POSTGRESQL://user@host",
		"postgresql://u:p@one:5432,two:5433/db?target_session_attrs=read-write",
		"postgresql:///db?host=/var/run/postgresql",
		"postgresql://user:p%40ss%2Fword@[::1]/db",
	} {
		s, err := store.Open(store.Options{URL: url})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if s.Kind() != "postgresql" {
			t.Errorf("%s: kind %s", url, s.Kind())
		}
		s.Close()
	}
}

// However a URL is mangled, its password is in no error.
func FuzzParseURL(f *testing.F) {
	f.Add("postgresql://user", "@host:5432/db?sslmode=disable")
	f.Add("postgresql://user:a/b", "@host")
	f.Add("postgres://", ":x@h,h:1")
	f.Add("postgresql://u@h/d?a=b", "&sslmode=x")
	f.Add("postgresql://u@h/d?", "&port=x")
	f.Add("postgresql://u:p@", "@h:99999")
	f.Add("postgres://", " 0000000") // pgx quotes what has spaces in it
	f.Fuzz(func(t *testing.T, before, after string) {
		// A password stands after a colon, or after its name in the query; what
		// stands elsewhere is no secret, and may be shown.
		if strings.Contains(before, "?") {
			before += "&password="
		} else {
			before += ":"
		}
		s, err := store.Open(store.Options{URL: before + "hunter2secret" + after})
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v", before+"hunter2secret"+after, err)
			}
			return
		}
		s.Close()
	})
}
