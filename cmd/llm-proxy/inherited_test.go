package main

import (
	"slices"
	"testing"
)

// Sockets that were passed to somebody else are none; there is one for each
// listener at most, and of two the names tell which is the operators'.
func TestInheritedIsForThisProcess(t *testing.T) {
	f := func(fds, pid, names string, want ...string) {
		t.Helper()
		env := map[string]string{"LISTEN_FDS": fds, "LISTEN_PID": pid, "LISTEN_FDNAMES": names}
		got, err := passedNames(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, 77)
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%q for %q, named %q: %q, %v", fds, pid, names, got, err)
		}
	}
	f("", "", "")
	f("", "77", "")
	f("1", "", "")
	f("1", "78", "")
	f("2", "78", "a:b")
	f("1", "77", "", "")
	f("1", "77", "llm-proxy.socket", "llm-proxy.socket")
	f("1", "77", "admin", "admin")
	f("2", "77", "llm-proxy.socket:admin", "llm-proxy.socket", "admin")
	f("2", "77", "admin:llm-proxy.socket", "admin", "llm-proxy.socket")

	bad := func(fds, names string) {
		t.Helper()
		env := map[string]string{"LISTEN_FDS": fds, "LISTEN_PID": "77", "LISTEN_FDNAMES": names}
		if got, err := passedNames(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, 77); err == nil {
			t.Errorf("%q, named %q: %q", fds, names, got)
		}
	}
	bad("2", "")
	bad("2", "admin")
	bad("2", "admin:admin")
	bad("2", "a:b")
	bad("1", "a:b")
	bad("3", "a:b:admin")
	bad("0", "")
	bad("-1", "")
	bad("x", "")
}
