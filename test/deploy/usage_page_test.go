package deploy

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/strvals"
)

// commands are the lines of the page's shell blocks, continued ones joined.
func commands(t *testing.T, beginning string) (lines []string) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(read(t, "DOCKER_USAGE.md"), -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if strings.HasPrefix(line, beginning) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	if len(lines) == 0 {
		t.Fatalf("DOCKER_USAGE.md has no command %q", beginning)
	}
	return lines
}

// TestPageInstallsTheChart: the values in the page's helm commands are the
// chart's, and lead to something that can be installed.
func TestPageInstallsTheChart(t *testing.T) {
	f := func(line, kind string) {
		t.Helper()
		values := map[string]any{}
		for _, m := range regexp.MustCompile(`--set (\S+?)=("[^"]*"|\S+)`).FindAllStringSubmatch(line, -1) {
			value := strings.ReplaceAll(m[2], `"$(openssl rand -hex 24)"`, strings.Repeat("0a", 24))
			if err := strvals.ParseInto(m[1]+"="+value, values); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		in := installed(t, line, values)
		if !slices.Contains(in.kinds, kind) || !strings.HasPrefix(in.container(t).Image, "registry.example.com/llm-proxy:") {
			t.Errorf("%s: installs %q with the image %s", line, in.kinds, in.container(t).Image)
		}
	}
	lines := commands(t, "helm install ")
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	f(lines[0], "StatefulSet")
	f(lines[1], "PrometheusRule")
}

// TestPageNamesWhatThereIs: files of the tree, services and profiles of the
// compose file, settings.
func TestPageNamesWhatThereIs(t *testing.T) {
	page := read(t, "DOCKER_USAGE.md")
	for _, name := range regexp.MustCompile(`\bdeploy/[\w./@-]*\w`).FindAllString(page, -1) {
		if !exists(filepath.Join(tree, name)) {
			t.Errorf("%s is not in the tree", name)
		}
	}
	p := everything(t)
	for _, line := range commands(t, "docker compose exec ") {
		if service := strings.Fields(line)[3]; p.Services[service].Name == "" {
			t.Errorf("%s: there is no service %s", line, service)
		}
	}
	known := settings(t)
	for _, m := range regexp.MustCompile(`(?m)-e ([A-Z_]+)=`).FindAllStringSubmatch(page, -1) {
		if !known[m[1]] {
			t.Errorf("-e %s is no setting", m[1])
		}
	}
	variables := regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(read(t, "docker-compose.yml"), -1)
	for _, m := range variables {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("the page does not say what %s is for", m[1])
		}
	}
}
