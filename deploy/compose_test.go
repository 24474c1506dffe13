// Package deploy holds what surrounds the gateway where it runs, and tests of
// its monitoring. What reads images, compose files, charts and units is heavy;
// those tests are the module test/deploy.
package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// compose is the part of the compose file that the monitoring has to do with.
type compose struct {
	Services map[string]struct{ Volumes []string }
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// strict decodes YAML and refuses unknown and repeated keys.
func strict(t *testing.T, name string, v any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readCompose(t *testing.T) *compose {
	t.Helper()
	c := &compose{}
	if err := yaml.Unmarshal(read(t, "../docker-compose.yml"), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	promtoolReads(t, "", args...)
}

// promtoolReads runs it with something to read. A lint of metrics that finds
// something says so and exits with 0.
func promtoolReads(t *testing.T, text string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is missing: apt-get install prometheus")
	}
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || text != "" && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
