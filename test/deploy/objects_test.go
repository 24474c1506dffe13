package deploy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/releaseutil"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// installation is what the chart would install, decoded. An object that there
// is not is nil.
type installation struct {
	name        string // of the values file
	kinds       []string
	deployment  *apps.Deployment
	stateful    *apps.StatefulSet
	service     *core.Service
	operators   *core.Service // of the port of their own
	account     *core.ServiceAccount
	secret      *core.Secret
	hpa         *autoscaling.HorizontalPodAutoscaler
	pdb         *policy.PodDisruptionBudget
	network     *networking.NetworkPolicy
	ingress     *networking.Ingress
	monitor     *monitoring.ServiceMonitor
	rules       []*monitoring.PrometheusRule
	test        *core.Pod
	all         []meta.Object
	podTemplate core.PodTemplateSpec
	selector    *meta.LabelSelector
}

// installed renders the chart and decodes each object into its type, strictly:
// a field that the API does not have, or one that stands twice, is an error.
func installed(t *testing.T, name string, values chartutil.Values) *installation {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	if err := monitoring.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	in := &installation{name: name}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(file, "NOTES.txt") {
			continue
		}
		for _, text := range releaseutil.SplitManifests(files[file]) {
			o, kind, err := decoder.Decode([]byte(text), nil, nil)
			if err != nil {
				t.Fatalf("%s: %s: %v\n%s", name, file, err, text)
			}
			in.kinds = append(in.kinds, kind.Kind)
			in.take(t, o)
		}
	}
	switch {
	case in.stateful != nil && in.deployment == nil:
		in.podTemplate, in.selector = in.stateful.Spec.Template, in.stateful.Spec.Selector
	case in.deployment != nil && in.stateful == nil:
		in.podTemplate, in.selector = in.deployment.Spec.Template, in.deployment.Spec.Selector
	default:
		t.Fatalf("%s: neither one Deployment nor one StatefulSet: %q", name, in.kinds)
	}
	slices.Sort(in.kinds)
	return in
}

func (in *installation) take(t *testing.T, o runtime.Object) {
	t.Helper()
	switch o := o.(type) {
	case *apps.Deployment:
		in.deployment = o
	case *apps.StatefulSet:
		in.stateful = o
	case *core.Service:
		if strings.HasSuffix(o.Name, "-operators") {
			in.operators = o
		} else {
			in.service = o
		}
	case *core.ServiceAccount:
		in.account = o
	case *core.Secret:
		in.secret = o
	case *core.Pod:
		in.test = o
	case *autoscaling.HorizontalPodAutoscaler:
		in.hpa = o
	case *policy.PodDisruptionBudget:
		in.pdb = o
	case *networking.NetworkPolicy:
		in.network = o
	case *networking.Ingress:
		in.ingress = o
	case *monitoring.ServiceMonitor:
		in.monitor = o
	case *monitoring.PrometheusRule:
		in.rules = append(in.rules, o)
	default:
		t.Fatalf("%s: what is a %T for?", in.name, o)
	}
	in.all = append(in.all, o.(meta.Object))
}

// container is the gateway's, the only one of its pod.
func (in *installation) container(t *testing.T) *core.Container {
	t.Helper()
	if c := in.podTemplate.Spec.Containers; len(c) != 1 {
		t.Fatalf("%s: %d containers", in.name, len(c))
	}
	return &in.podTemplate.Spec.Containers[0]
}

// eachInstallation calls f with every way to run the chart.
func eachInstallation(t *testing.T, f func(t *testing.T, in *installation)) {
	t.Helper()
	for _, name := range valuesFiles {
		f(t, installed(t, name, valuesFile(t, name)))
	}
}

func TestChartInstalls(t *testing.T) {
	want := map[string][]string{
		"apart":   {"NetworkPolicy", "Pod", "PodDisruptionBudget", "Secret", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet"},
		"default": {"NetworkPolicy", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount", "StatefulSet"},
		"fleet":   {"Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "PrometheusRule", "Secret", "Service", "ServiceAccount", "ServiceMonitor"},
		"kept":    {"HorizontalPodAutoscaler", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet"},
		"open":    {"Ingress", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service", "ServiceMonitor", "StatefulSet"},
	}
	eachInstallation(t, func(t *testing.T, in *installation) {
		if got := slices.Compact(slices.Clone(in.kinds)); !slices.Equal(got, want[in.name]) {
			t.Errorf("%s: got %q, want %q", in.name, got, want[in.name])
		}
		names := map[string]bool{}
		for _, o := range in.all {
			id := fmt.Sprintf("%T %s", o, o.GetName())
			if names[id] || o.GetNamespace() != "" { // the release's, which helm knows
				t.Errorf("%s: %s is there twice, or in a namespace of its own", in.name, id)
			}
			names[id] = true
		}
	})
}

// TestLongNamesFit: names are labels too, of 63 characters at most, and pods
// get a suffix.
func TestLongNamesFit(t *testing.T) {
	values := chartutil.Values{"fullnameOverride": strings.Repeat("long-", 20) + "name", "operators": map[string]any{"enabled": true}}
	in := installed(t, "long", values)
	for _, o := range in.all {
		most := 58
		if o == in.operators { // no pod is named after it
			most = 63
		}
		if n := o.GetName(); len(n) > most || strings.HasSuffix(n, "-") {
			t.Errorf("%T %s", o, n)
		}
	}
}

// TestSelectorsFindThePods: all that select select the gateway's pods, and not
// the test's.
func TestSelectorsFindThePods(t *testing.T) {
	eachInstallation(t, func(t *testing.T, in *installation) {
		selectors := map[string]map[string]string{
			"workload": in.selector.MatchLabels, "service": in.service.Spec.Selector,
			"network policy": in.network.Spec.PodSelector.MatchLabels, "disruption budget": in.pdb.Spec.Selector.MatchLabels,
		}
		for _, c := range in.podTemplate.Spec.TopologySpreadConstraints {
			if in.name != "open" { // which brings its own
				selectors["spread over "+c.TopologyKey] = c.LabelSelector.MatchLabels
			}
		}
		for who, selector := range selectors {
			if !maps.Equal(selector, in.selector.MatchLabels) || !within(selector, in.podTemplate.Labels) {
				t.Errorf("%s: the %s selects %v, the pods have %v", in.name, who, selector, in.podTemplate.Labels)
			}
			if within(selector, in.test.Labels) {
				t.Errorf("%s: the %s selects the pod of helm test", in.name, who)
			}
		}
		if in.monitor != nil && !within(in.monitor.Spec.Selector.MatchLabels, in.service.Labels) {
			t.Errorf("%s: the ServiceMonitor selects %v, the service has %v", in.name, in.monitor.Spec.Selector.MatchLabels, in.service.Labels)
		}
		if in.hpa != nil {
			ref := in.hpa.Spec.ScaleTargetRef
			if ref.Kind != in.stateful.Kind || ref.Name != in.stateful.Name || in.stateful.Spec.Replicas != nil {
				t.Errorf("%s: the autoscaler scales %+v, replicas %v", in.name, ref, in.stateful.Spec.Replicas)
			}
		}
	})
}

// within reports whether all of a's pairs are in b.
func within(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) > 0
}

// TestPortsMeet: who connects to a port by its name finds it, at the port that
// the image listens on.
func TestPortsMeet(t *testing.T) {
	eachInstallation(t, func(t *testing.T, in *installation) {
		c := in.container(t)
		if len(c.Ports) == 0 || fmt.Sprint(c.Ports[0].ContainerPort) != readRecipe(t).env["PORT"] {
			t.Fatalf("%s: ports %+v, the image listens on %s", in.name, c.Ports, readRecipe(t).env["PORT"])
		}
		name := c.Ports[0].Name
		asked := map[string]string{
			"service": in.service.Spec.Ports[0].TargetPort.String(), "network policy": in.network.Spec.Ingress[0].Ports[0].Port.String(),
			"startup": c.StartupProbe.HTTPGet.Port.String(), "readiness": c.ReadinessProbe.HTTPGet.Port.String(), "liveness": c.LivenessProbe.HTTPGet.Port.String(),
		}
		if in.monitor != nil && in.operators == nil {
			asked["service monitor"] = in.monitor.Spec.Endpoints[0].Port
		}
		if in.ingress != nil {
			backend := in.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
			if asked["ingress"] = backend.Port.Name; backend.Name != in.service.Name {
				t.Errorf("%s: the ingress leads to %s", in.name, backend.Name)
			}
		}
		for who, port := range asked {
			if port != name {
				t.Errorf("%s: the %s asks for port %q, there is %q", in.name, who, port, name)
			}
		}
		if in.service.Spec.Ports[0].Name != name {
			t.Errorf("%s: the service's port is %q", in.name, in.service.Spec.Ports[0].Name)
		}
	})
}

// TestRulesAreTheTrees: the alerts of deploy/prometheus, all of them, as they are.
func TestRulesAreTheTrees(t *testing.T) {
	in := installed(t, "fleet", valuesFile(t, "fleet"))
	want := ruleFiles(t)
	if len(in.rules) != len(want) || len(want) == 0 {
		t.Fatalf("%d PrometheusRules of %d files", len(in.rules), len(want))
	}
	for _, r := range in.rules {
		i := slices.IndexFunc(want, func(s monitoring.PrometheusRuleSpec) bool { return s.Groups[0].Name == r.Spec.Groups[0].Name })
		if i < 0 || !reflect.DeepEqual(want[i], r.Spec) {
			t.Errorf("%s: got %+v, the files have %+v", r.Name, r.Spec, want)
		}
		if r.Labels["release"] != "prometheus" {
			t.Errorf("%s: labels %v", r.Name, r.Labels)
		}
	}
	if job := in.monitor.Spec.JobLabel; in.service.Labels[job] != "llm-proxy" {
		t.Errorf("the rules know the job llm-proxy; it is called %q (%s)", in.service.Labels[job], job)
	}
}
