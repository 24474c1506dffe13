package main

import "testing"

// TestInheritedIsForThisProcess: a socket that was passed to somebody else is
// none, and more than one is an error.
func TestInheritedIsForThisProcess(t *testing.T) {
	f := func(fds, pid string, wantErr bool) {
		t.Helper()
		env := map[string]string{"LISTEN_FDS": fds, "LISTEN_PID": pid}
		ln, err := inherited(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, 77)
		if ln != nil || (err != nil) != wantErr {
			t.Errorf("%q for %q: %v, %v", fds, pid, ln, err)
		}
	}
	f("", "", false)
	f("", "77", false)
	f("1", "", false)
	f("1", "78", false)
	f("2", "77", true)
	f("x", "77", true)
}
