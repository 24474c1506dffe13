package store

import "testing"

func TestOneLine(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("one", "one")
	f("one\ntwo\n", "one; two")
	f("one\n\n  two\ntwo\n", "one; two")
	f("failed to connect to `user=u`:\n\t127.0.0.1:1: refused\n\t127.0.0.1:1: refused\n\t[::1]:1: refused\n",
		"failed to connect to `user=u`: 127.0.0.1:1: refused; [::1]:1: refused")
}
