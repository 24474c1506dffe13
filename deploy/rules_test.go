package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rule is an alert, or the recording of a sum.
type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

// rules reads the alerts and recordings.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	strict(t, "prometheus/rules/llm-proxy.yml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}

// TestPrometheusConfigAndRules: Prometheus's own checker is content, and the
// alerts fire, and do not, as their tests say.
func TestPrometheusConfigAndRules(t *testing.T) {
	promtool(t, "check", "config", "prometheus/prometheus.yml")
	promtool(t, "check", "config", "prometheus/operators.yml")
	promtool(t, "check", "rules", "prometheus/rules/llm-proxy.yml")
	promtool(t, "test", "rules", "prometheus/tests/llm-proxy.yml")
}

// TestEveryAlertIsTested: promtool sees it firing, and not firing.
func TestEveryAlertIsTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name   string `yaml:"alertname"`
				Firing []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(read(t, "prometheus/tests/llm-proxy.yml"), &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			if len(a.Firing) > 0 {
				fires[a.Name] = true
			} else {
				quiet[a.Name] = true
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert != "" && (!fires[r.Alert] || !quiet[r.Alert]) {
			t.Errorf("%s: seen firing %v, seen not firing %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}

// TestEveryAlertHasARunbook: a paragraph of its own in MONITORING.md that its
// annotation points at, a row in the table of alerts, a severity, a summary.
func TestEveryAlertHasARunbook(t *testing.T) {
	page := string(read(t, "../MONITORING.md"))
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		want := "MONITORING.md#" + strings.ToLower(r.Alert)
		if got := r.Annotations["runbook_url"]; got != want {
			t.Errorf("%s: the runbook is at %q, want %q", r.Alert, got, want)
		}
		paragraph := regexp.MustCompile(`(?m)^#+ ` + r.Alert + `\n\n[^\n]{80,}\n`)
		if !paragraph.MatchString(page) || !strings.Contains(page, "| `"+r.Alert+"` |") {
			t.Errorf("MONITORING.md: %s has no runbook, or no row in the table", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) ||
			r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^#+ (LLMProxy\w+)$`).FindAllStringSubmatch(page, -1) {
		if !slices.ContainsFunc(rules(t), func(r rule) bool { return r.Alert == m[1] }) {
			t.Errorf("MONITORING.md has a runbook for %s, which is no alert", m[1])
		}
	}
}
