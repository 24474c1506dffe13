package config

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/settings.md")

// TestSettingsPage keeps the documentation with the table it is made from.
func TestSettingsPage(t *testing.T) {
	const page = "../docs/settings.md"
	want := settingsPage(new(Options).groups())
	if *update {
		if err := os.MkdirAll("../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/settings.md is not what config/options.go declares; run: go test ./config -run Settings -update")
	}
}
