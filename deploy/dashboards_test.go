package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// dashboard is the part of Grafana's model that is looked at.
type dashboard struct {
	UID           string
	Title         string
	Description   string
	Tags          []string
	SchemaVersion int
	Panels        []panel
	Links         []struct {
		Type                  string
		Tags                  []string
		IncludeVars, KeepTime bool
	}
	Templating  struct{ List []variable }
	Annotations struct {
		List []struct{ Name, Expr string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  struct{ UID string }
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Expr, RefID string
		Datasource  struct{ UID string }
	}
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Color string } }
		}
	}
	Options struct {
		YAxis struct{ Unit string }
	}
}

type variable struct {
	Name, Type string
	Query      any // the name of a kind of data source, or an object with a query
	IncludeAll bool
}

// asks returns the variable's query; "" for one that asks Prometheus nothing.
func (v variable) asks() string {
	q, _ := v.Query.(map[string]any)
	text, _ := q["query"].(string)
	return text
}

// boards reads all dashboards, by the names of their files.
func boards(t *testing.T) map[string]*dashboard {
	t.Helper()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	all := map[string]*dashboard{}
	for _, file := range files {
		d := &dashboard{}
		if err := json.Unmarshal(read(t, file), d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// expressions are the PromQL of a dashboard by where it stands.
func (d *dashboard) expressions() map[string]string {
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[fmt.Sprintf("%s, %s (panel %d)", p.Title, q.RefID, p.ID)] = q.Expr
		}
	}
	for _, a := range d.Annotations.List {
		all["annotation "+a.Name] = a.Expr
	}
	return all
}

var variableName = regexp.MustCompile(`\$\{?(\w+)\}?`)

// fill puts values in the places of Grafana's variables.
func fill(t *testing.T, expr string, values map[string]string) string {
	t.Helper()
	return variableName.ReplaceAllStringFunc(expr, func(name string) string {
		value, ok := values[strings.Trim(name, "${}")]
		if !ok {
			t.Errorf("%s: there is no variable %s", expr, name)
		}
		return value
	})
}

func TestGrafanaDataSource(t *testing.T) {
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool              `yaml:"isDefault"`
			Editable                     bool              `yaml:"editable"`
			JSONData                     map[string]string `yaml:"jsonData"`
		}
	}
	strict(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	s := sources.Datasources
	if len(s) != 1 || s[0].Type != "prometheus" || s[0].URL != "http://prometheus:9090" || !s[0].IsDefault {
		t.Fatalf("got %+v", s)
	}
	var config struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
		}
	}
	if err := yaml.Unmarshal(read(t, "prometheus/prometheus.yml"), &config); err != nil {
		t.Fatal(err)
	}
	// $__rate_interval is made from it: a shorter one leaves holes in the graphs.
	if s[0].JSONData["timeInterval"] != config.Global.Interval {
		t.Errorf("Grafana thinks of a scrape every %s, Prometheus does one every %s", s[0].JSONData["timeInterval"], config.Global.Interval)
	}
}

func TestGrafanaDashboardPlace(t *testing.T) {
	var p struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := yaml.Unmarshal(read(t, "grafana/provisioning/dashboards/llm-proxy.yml"), &p); err != nil {
		t.Fatal(err)
	}
	mount := "./deploy/grafana/dashboards:" + p.Providers[0].Options.Path + ":ro"
	if !slices.Contains(readCompose(t).Services["grafana"].Volumes, mount) {
		t.Errorf("Grafana does not get %s", mount)
	}
}

// TestDashboardsShowWhatIsPromised: the panels that the documentation names.
func TestDashboardsShowWhatIsPromised(t *testing.T) {
	f := func(file, uid string, titles ...string) {
		t.Helper()
		d := boards(t)[file]
		if d == nil || d.UID != uid {
			t.Fatalf("%s is not the dashboard %s", file, uid)
		}
		for _, title := range titles {
			if !slices.ContainsFunc(d.Panels, func(p panel) bool { return p.Title == title }) {
				t.Errorf("%s has no panel %q", file, title)
			}
		}
	}
	f("overview.json", "llm-proxy", "Request rate by status", "Latency", "Error share", "Active requests", "Tokens per second",
		"Cost per hour", "Load by provider", "Top keys by requests", "Budgets used")
	f("providers.json", "llm-proxy-providers", "Health", "Circuit breakers", "Latency of the head", "P95 time to first token",
		"Tokens per second of a stream", "Retries by reason", "Ejections", "Streams cut short")
	f("gateway.json", "llm-proxy-gateway", "P99 overhead by phase", "CPU", "Memory", "Goroutines and threads", "Garbage collection: CPU",
		"Waiting", "Connections", "Configuration version", "Journal lag", "Journal bytes", "Records lost")
}

// TestPanelsAreWhole: each says what it shows, in which unit, from the data
// source that is chosen, and is of a kind that Grafana still has.
func TestPanelsAreWhole(t *testing.T) {
	// The old graph, singlestat and table-old are gone since Grafana 12; all
	// that need Angular are.
	kinds := []string{"row", "timeseries", "stat", "bargauge", "heatmap", "state-timeline"}
	for file, d := range boards(t) {
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%s: %s has the id %d, as another has", file, p.Title, p.ID)
			}
			ids[p.ID] = true
			if !slices.Contains(kinds, p.Type) {
				t.Errorf("%s: %s is a %s", file, p.Title, p.Type)
			}
			if p.Type == "row" {
				continue
			}
			if len(p.Description) < 20 || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: %s: description %q, %d queries, data source %q", file, p.Title, p.Description, len(p.Targets), p.Datasource.UID)
			}
			for _, q := range p.Targets {
				if q.Datasource.UID != "${datasource}" || q.Expr == "" {
					t.Errorf("%s: %s: %q of the data source %q", file, p.Title, q.Expr, q.Datasource.UID)
				}
			}
			unit := p.FieldConfig.Defaults.Unit + p.Options.YAxis.Unit
			if p.Type != "state-timeline" && unit == "" {
				t.Errorf("%s: %s has no unit", file, p.Title)
			}
			if (p.Type == "stat" || p.Type == "bargauge") && len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
				t.Errorf("%s: %s has no colours", file, p.Title)
			}
		}
	}
}

// TestPanelsDoNotOverlap, nor leave the grid of 24 columns.
func TestPanelsDoNotOverlap(t *testing.T) {
	for file, d := range boards(t) {
		for i, p := range d.Panels {
			a := p.GridPos
			if a.W < 1 || a.H < 1 || a.X < 0 || a.X+a.W > 24 {
				t.Errorf("%s: %s lies at %+v", file, p.Title, a)
			}
			for _, other := range d.Panels[:i] {
				b := other.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s: %s lies over %s", file, p.Title, other.Title)
				}
			}
		}
	}
}

// TestDashboardsBelongTogether: they link to each other, hand on what was
// chosen, and every variable that a query names is one of theirs.
func TestDashboardsBelongTogether(t *testing.T) {
	uids := map[string]bool{}
	for file, d := range boards(t) {
		if uids[d.UID] || d.Description == "" || !slices.Contains(d.Tags, "llm-proxy") || d.SchemaVersion < 41 {
			t.Errorf("%s: uid %q, description %q, tags %q, schema %d", file, d.UID, d.Description, d.Tags, d.SchemaVersion)
		}
		uids[d.UID] = true
		if len(d.Links) != 1 || d.Links[0].Type != "dashboards" || !slices.Equal(d.Links[0].Tags, []string{"llm-proxy"}) ||
			!d.Links[0].IncludeVars || !d.Links[0].KeepTime {
			t.Errorf("%s: links %+v", file, d.Links)
		}
		known := map[string]string{"__rate_interval": "1m"}
		for _, v := range d.Templating.List {
			fill(t, v.asks(), known) // those above it only
			known[v.Name] = "x"
		}
		used := map[string]bool{"datasource": true}
		for _, expr := range d.expressions() {
			fill(t, expr, known)
			for _, m := range variableName.FindAllStringSubmatch(expr, -1) {
				used[m[1]] = true
			}
		}
		for _, v := range d.Templating.List {
			if !used[v.Name] {
				t.Errorf("%s: nothing depends on the variable %s", file, v.Name)
			}
		}
	}
	if len(uids) != 3 {
		t.Errorf("%d dashboards", len(uids))
	}
}

// TestQueriesNameMetricsThatExist holds queries and alerts against the list of
// metrics in the code; and every metric that is no part of another picture is
// on some dashboard.
func TestQueriesNameMetricsThatExist(t *testing.T) {
	name := regexp.MustCompile(`\bllm_proxy_[a-z_]+`)
	known := name.FindAllString(string(read(t, "../metrics/families.go")), -1)
	if len(known) < 15 {
		t.Fatalf("only %d metrics found in the code", len(known))
	}
	var shown strings.Builder
	for _, d := range boards(t) {
		for _, expr := range d.expressions() {
			shown.WriteString(expr + "\n")
		}
		for _, v := range d.Templating.List {
			shown.WriteString(v.asks() + "\n")
		}
	}
	rules := regexp.MustCompile(`\w+:llm_proxy_[a-z_]+:\w+`).ReplaceAllString(string(read(t, "prometheus/rules/llm-proxy.yml")), "")
	for _, n := range name.FindAllString(shown.String()+rules, -1) {
		if !slices.Contains(known, strings.TrimSuffix(n, "_bucket")) {
			t.Errorf("%s is asked for and nobody counts it", n)
		}
	}
	for _, n := range known {
		if !regexp.MustCompile(n + `(_bucket)?\b`).MatchString(shown.String()) {
			t.Errorf("%s is on no dashboard", n)
		}
	}
}

// TestQueriesAreValid lets Prometheus parse every query of the dashboards.
func TestQueriesAreValid(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	values := map[string]string{"__rate_interval": "1m", "instance": "a", "provider": ".*", "model": ".*", "key": ".*"}
	for _, d := range boards(t) {
		for _, expr := range d.expressions() {
			fmt.Fprintf(&rules, "  - record: panel:%d\n    expr: %q\n", rules.Len(), fill(t, expr, values))
		}
	}
	name := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(name, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", name)
}
