package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type dashboard struct {
	UID    string
	Title  string
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		Datasource  struct{ UID string }
		Targets     []struct{ Expr string }
	}
	Templating struct {
		List []struct {
			Name  string
			Query struct{ Query string }
		}
	}
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	d := &dashboard{}
	if err := json.Unmarshal(read(t, "grafana/dashboards/llm-proxy.json"), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are all PromQL of the dashboard, with Grafana's variables filled in.
func expressions(t *testing.T) []string {
	t.Helper()
	fill := regexp.MustCompile(`\$(provider|model|api_key_name)\b`)
	var all []string
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all = append(all, fill.ReplaceAllString(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"), ".*"))
		}
	}
	return all
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
	if len(s) != 1 || s[0].UID != "prometheus" || s[0].URL != "http://prometheus:9090" || !s[0].IsDefault {
		t.Errorf("got %+v", s)
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
	for _, v := range readCompose(t).Services["grafana"].Volumes {
		if v == mount {
			return
		}
	}
	t.Errorf("Grafana does not get %s", mount)
}

// TestDashboardShowsWhatIsPromised: the panels that the documentation names.
func TestDashboardShowsWhatIsPromised(t *testing.T) {
	titles := map[string]bool{}
	ids := map[int]bool{}
	for _, p := range readDashboard(t).Panels {
		titles[p.Title] = true
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Datasource.UID != "prometheus" || p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%s: data source %q, %d queries, description %q", p.Title, p.Datasource.UID, len(p.Targets), p.Description)
		}
	}
	for _, want := range []string{
		"Request rate by model", "Request latency", "P95 latency by model", "Tokens by type",
		"Status codes", "Load by provider", "Active requests",
	} {
		if !titles[want] {
			t.Errorf("no panel %q", want)
		}
	}
}

// TestQueriesAreValid lets Prometheus parse every query of the dashboard.
func TestQueriesAreValid(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expr := range expressions(t) {
		fmt.Fprintf(&rules, "  - record: panel:%d\n    expr: %q\n", i, expr)
	}
	name := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(name, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", name)
}

// TestQueriesNameMetricsThatExist holds queries and alerts against the list of
// metrics in the code.
func TestQueriesNameMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	name := regexp.MustCompile(`llm_proxy_[a-z_]+`)
	for _, n := range name.FindAllString(string(read(t, "../metrics/families.go")), -1) {
		known[n] = true
	}
	if len(known) < 15 {
		t.Fatalf("only %d metrics found in the code", len(known))
	}
	text := strings.Join(expressions(t), "\n") + string(read(t, "prometheus/rules/llm-proxy.yml"))
	for _, v := range readDashboard(t).Templating.List {
		text += v.Query.Query
	}
	for _, n := range name.FindAllString(text, -1) {
		if !known[strings.TrimSuffix(n, "_bucket")] {
			t.Errorf("%s is asked for and nobody counts it", n)
		}
	}
}
