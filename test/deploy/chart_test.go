package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

const (
	chartDir  = tree + "/deploy/helm/llm-proxy"
	release   = "prod"
	namespace = "llm"
)

// valuesFiles are what the chart is rendered with. Each is a way to run it.
var valuesFiles = []string{"default", "fleet", "kept", "open", "apart"}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readValues(t *testing.T, text string) chartutil.Values {
	t.Helper()
	v, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// render is helm template: the values are checked against the schema, and the
// templates filled in. What is empty is left out.
func render(t *testing.T, values chartutil.Values) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	for name, text := range files {
		if strings.TrimSpace(text) == "" || strings.HasSuffix(name, ".tpl") {
			delete(files, name)
		}
	}
	return files, err
}

func valuesFile(t *testing.T, name string) chartutil.Values {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return readValues(t, string(b))
}

// TestChartPassesHelmLint with every values file.
func TestChartPassesHelmLint(t *testing.T) {
	for _, name := range valuesFiles {
		found := lint.All(chartDir, valuesFile(t, name), namespace, true)
		for _, m := range found.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s", name, m)
			}
		}
	}
}

// TestChartRefuses: what cannot work is refused before anything is installed,
// in words that name the value.
func TestChartRefuses(t *testing.T) {
	f := func(values, word string) {
		t.Helper()
		_, err := render(t, readValues(t, values))
		if err == nil {
			t.Errorf("%s: is taken", values)
		} else if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q is not in: %v", values, word, err)
		}
	}

	const database = "database: {url: postgresql://db/llm}\n"
	f("replicaCount: 2", "DB_URL")
	f("autoscaling: {enabled: true}", "DB_URL")
	f("persistence: {enabled: false}", "persistence.enabled")
	f("database: {url: postgresql://db/llm, existingSecret: db}", "which one")
	f("secrets: {existingSecret: keys, adminKey: long-enough}", "secrets.existingSecret")
	f(database+"autoscaling: {enabled: true, minReplicas: 5, maxReplicas: 4}", "maxReplicas")
	f(database+"autoscaling: {enabled: true}\nresources: {requests: {cpu: null}}", "requests.cpu")
	f("operators: {enabled: true}\nserviceMonitor: {enabled: true}", "operators.from")
	// Settings.
	f("settings: {SHUTDOWN_GRACE_SEC: 5}", "SHUTDOWN_GRACE_SEC is no setting")
	f("settings: {SHUTDOWN_GRACE_SECS: 5}", "shutdown.graceSeconds")
	f("settings: {ADMIN_KEY: in-plain-text}", "secrets.adminKey")
	f("settings: {DB_URL: postgresql://db/llm}", "database.url")
	f("settings: {LOG_LEVEL: [warn]}", "LOG_LEVEL")
	f("settings: {ADMIN_ADDR: '0.0.0.0:19001'}", "operators.port")
	f("settings: {ADMIN_ON_PUBLIC_PORT: true}", "operators.alsoOnPublicPort")
	// The schema.
	f("replicas: 3", "replicas")
	f("replicaCount: three", "replicaCount")
	f("image: {tags: v1}", "tags")
	f("database: {url: mysql://db/llm}", "url")
	f("secrets: {secretKey: short}", "secretKey")
	f("shutdown: {graceSeconds: -1}", "graceSeconds")
	f("ingress: {enabled: true, hosts: [{host: llm.example.com}]}", "paths")
	f("service: {port: 70000}", "port")
	f("operators: {enabled: true, port: 18000}", "operators.port") // the clients'
	f("operators: {enabled: true, port: 80}", "operators/port")    // the pods' user may not open it
}

// TestChartKnowsEverySetting: each setting of docs/settings.md may be set, or
// the chart says where it is set instead.
func TestChartKnowsEverySetting(t *testing.T) {
	for name := range settings(t) {
		_, err := render(t, chartutil.Values{"settings": map[string]any{name: "1"}})
		if err != nil && !strings.Contains(err.Error(), "settings."+name+": set ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaKnowsTheDefaults: every value of values.yaml has its place in the
// schema and passes it, so that a misspelled one never does.
func TestSchemaKnowsTheDefaults(t *testing.T) {
	c := loadChart(t)
	if err := chartutil.ValidateAgainstSchema(c, c.Values); err != nil {
		t.Error(err)
	}
	for name := range c.Values {
		if err := chartutil.ValidateAgainstSchema(c, map[string]any{name + "X": c.Values[name]}); err == nil {
			t.Errorf("the schema takes %sX", name)
		}
	}
}

func TestChartNotes(t *testing.T) {
	f := func(name string, want, not []string) {
		t.Helper()
		files, err := render(t, valuesFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		notes := files["llm-proxy/templates/NOTES.txt"]
		for _, w := range want {
			if !strings.Contains(notes, w) {
				t.Errorf("%s: the notes lack %q:\n%s", name, w, notes)
			}
		}
		for _, w := range append(not, "canary") {
			if strings.Contains(notes, w) {
				t.Errorf("%s: %q is in the notes:\n%s", name, w, notes)
			}
		}
	}
	f("default", []string{"http://prod-llm-proxy.llm:80/v1", "logs statefulset/prod-llm-proxy", "secrets.secretKey"}, []string{"Admin API is off"})
	f("fleet", []string{"A fresh database", "persistence.enabled"}, []string{"secrets.secretKey", "logs "})
	f("kept", []string{"http://prod-gateway.llm:80/v1"}, []string{"WARNING"})
	f("open", []string{"https://prod-llm-proxy.llm:443/v1", "https://llm.example.com/v1"}, []string{"-operators"})
	f("apart", []string{"http://prod-llm-proxy.llm:80/v1", "port-forward svc/prod-llm-proxy-operators 19001"}, []string{"WARNING"})
}

// TestChartVersionIsOne: the image that the chart asks for by itself has a tag.
func TestChartVersionIsOne(t *testing.T) {
	c := loadChart(t)
	if c.Metadata.AppVersion == "" || c.Metadata.AppVersion == "latest" {
		t.Errorf("appVersion is %q", c.Metadata.AppVersion)
	}
	var names []string
	for _, f := range c.Files {
		names = append(names, f.Name)
	}
	if !slices.Contains(names, "settings.md") || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "rules/") }) {
		t.Errorf("the chart lacks the settings or the rules that it takes from the tree: %q", names)
	}
}
