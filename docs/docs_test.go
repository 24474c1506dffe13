package docs

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the project's own tree.
var root = os.DirFS("..")

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pages lists every Markdown file of the project.
func pages(t *testing.T) (all []string) {
	t.Helper()
	foreign := []string{".git", "node_modules", "data", "dist", "bin"}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(foreign, d.Name()) {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every link to a file of the project leads there, and to a heading that exists.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // elsewhere
			}
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			if _, err := fs.Stat(root, file); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
			} else if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s: %s has no heading %q", page, file, anchor)
			}
		}
	}
}

var (
	heading  = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	unlinked = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors lists the headings as GitHub names them.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		name := unlinked.ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

// MONITORING.md names every metric there is, and none that there is not.
func TestMetricsAreDocumented(t *testing.T) {
	name := regexp.MustCompile(`llm_proxy_[a-z_]+[a-z]`)
	page := read(t, "MONITORING.md")
	declared := name.FindAllString(read(t, "metrics/families.go"), -1)
	for _, metric := range declared {
		if !strings.Contains(page, "`"+metric+"`") {
			t.Errorf("MONITORING.md lacks %s", metric)
		}
	}
	for _, page := range []string{"MONITORING.md", "README.md", "README_CN.md", "docs/operating.md", "docs/routing.md"} {
		for _, metric := range name.FindAllString(read(t, page), -1) {
			if !slices.Contains(declared, strings.TrimSuffix(metric, "_bucket")) {
				t.Errorf("%s: there is no metric %s", page, metric)
			}
		}
	}
}

// Every setting that a page names exists.
func TestSettingsExist(t *testing.T) {
	known := read(t, "docs/settings.md") + read(t, "docker-compose.yml") + "`GOMEMLIMIT`"
	for _, page := range []string{
		"README.md", "README_CN.md", "MONITORING.md", "SECURITY.md", "DOCKER_USAGE.md",
		"docs/operating.md", "docs/routing.md", "docs/errors.md", "docs/ARCHITECTURE.md", "web/openapi.yaml",
	} {
		for _, m := range regexp.MustCompile("`([A-Z][A-Z]+_[A-Z_]+)[=`]").FindAllStringSubmatch(read(t, page), -1) {
			if !strings.Contains(known, m[1]) {
				t.Errorf("%s: there is no setting %s", page, m[1])
			}
		}
	}
}

// Every error code that a client can see is on the page of errors and in the
// description of the API.
func TestErrorCodesAreDocumented(t *testing.T) {
	for _, m := range regexp.MustCompile(`Code: "([a-z_]+)"`).FindAllStringSubmatch(read(t, "openai/refusal.go"), -1) {
		if !strings.Contains(read(t, "docs/errors.md"), "`"+m[1]+"`") {
			t.Errorf("docs/errors.md lacks %s", m[1])
		}
		if m[1] != "method_not_supported" && !strings.Contains(read(t, "web/openapi.yaml"), m[1]) {
			t.Errorf("web/openapi.yaml lacks %s", m[1])
		}
	}
}

// Every alert of the rules is explained.
func TestAlertsAreDocumented(t *testing.T) {
	page := read(t, "MONITORING.md")
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, "deploy/prometheus/rules/llm-proxy.yml"), -1) {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("MONITORING.md lacks the alert %s", m[1])
		}
	}
}

// The two READMEs are kept in step: the same sections, the same commands.
func TestReadmesAreInStep(t *testing.T) {
	english, chinese := read(t, "README.md"), read(t, "README_CN.md")
	if e, c := levels(english), levels(chinese); !slices.Equal(e, c) {
		t.Errorf("sections differ:\n%v\n%v", e, c)
	}
	e, c := commands(english), commands(chinese)
	for i := range min(len(e), len(c)) {
		if e[i] != c[i] {
			t.Fatalf("commands differ:\n%s\n%s", e[i], c[i])
		}
	}
	if len(e) != len(c) {
		t.Errorf("%d commands in English, %d in Chinese", len(e), len(c))
	}
}

// levels is the outline of a page without its words.
func levels(page string) (all []string) {
	blocks := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile(`(?m)^(#+) `).FindAllStringSubmatch(blocks, -1) {
		all = append(all, m[1])
	}
	return all
}

// commands lists the lines of the shell and text blocks without their comments.
func commands(page string) (all []string) {
	for _, block := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for _, line := range strings.Split(block[1], "\n") {
			line, _, _ = strings.Cut(line, "# ")
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, line)
			}
		}
	}
	return all
}

// The drawing of the floors shows the rooms where the test of the layers has them.
func TestFloorsAreDrawn(t *testing.T) {
	_, declared, _ := strings.Cut(read(t, "arch_test.go"), "var floors = [][]string{\n")
	declared, _, _ = strings.Cut(declared, "\n}\n")
	page := read(t, "docs/ARCHITECTURE.md")
	for i, floor := range strings.Split(declared, "\n") {
		drawn := regexp.MustCompile(`(?m)^ ` + string(rune('1'+i)) + `  .*$`).FindString(page)
		for _, room := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(floor, -1) {
			if !slices.Contains(strings.Fields(drawn), room[1]) {
				t.Errorf("%s is not drawn on floor %d: %q", room[1], i+1, drawn)
			}
		}
	}
}
