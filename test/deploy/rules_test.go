package deploy

import (
	"path/filepath"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// ruleFiles are Prometheus's own rule files, as the operator's type.
func ruleFiles(t *testing.T) []monitoring.PrometheusRuleSpec {
	t.Helper()
	names, err := filepath.Glob(tree + "/deploy/prometheus/rules/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	var specs []monitoring.PrometheusRuleSpec
	for _, name := range names {
		var spec monitoring.PrometheusRuleSpec
		if err := yaml.UnmarshalStrict([]byte(read(t, name[len(tree)+1:])), &spec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		specs = append(specs, spec)
	}
	return specs
}
