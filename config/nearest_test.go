package config

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"weight", "priority", "is_enabled", "api_base", "api_key"}
	f := func(name, want string) {
		t.Helper()
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	f("weigth", "weight")
	f("enabled", "is_enabled")
	f("apibase", "api_base")
	f("api_keys", "api_key")
	f("completely_different", "")
	f("", "")
}
