package deploy

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/strvals"
	core "k8s.io/api/core/v1"
)

// TestChartHasNoSecondPortUnasked: by default there is one port, and everything
// is there.
func TestChartHasNoSecondPortUnasked(t *testing.T) {
	eachInstallation(t, func(t *testing.T, in *installation) {
		if in.name == "apart" {
			return
		}
		if in.operators != nil || len(in.container(t).Ports) != 1 || len(in.network.Spec.Ingress) != 1 {
			t.Errorf("%s: service %+v, ports %+v, network policy %+v", in.name, in.operators, in.container(t).Ports, in.network.Spec.Ingress)
		}
		for name := range plainEnv(in.container(t)) {
			if strings.HasPrefix(name, "ADMIN_") {
				t.Errorf("%s: %s is set", in.name, name)
			}
		}
	})
}

// TestOperatorsPortIsApart: it has a Service inside the cluster that leads to
// nothing else, the clients' Service does not lead to it, Prometheus asks it,
// and the network policy lets nobody else in.
func TestOperatorsPortIsApart(t *testing.T) {
	in := installed(t, "apart", valuesFile(t, "apart"))
	ports := in.container(t).Ports
	if len(ports) != 2 || ports[1].Name != "operators" || ports[1].ContainerPort != 19001 {
		t.Fatalf("ports %+v", ports)
	}
	s := in.operators.Spec
	if s.Type != core.ServiceTypeClusterIP || len(s.Ports) != 1 || s.Ports[0].Port != 19001 || s.Ports[0].TargetPort.String() != "operators" {
		t.Errorf("service %+v", s)
	}
	if !within(s.Selector, in.podTemplate.Labels) || within(s.Selector, in.test.Labels) {
		t.Errorf("the service selects %v, the pods have %v", s.Selector, in.podTemplate.Labels)
	}
	if public := in.service.Spec.Ports; len(public) != 1 || public[0].TargetPort.String() != "http" {
		t.Errorf("the clients' service leads to %+v", public)
	}
	scraped := in.monitor.Spec
	if len(scraped.Endpoints) != 1 || scraped.Endpoints[0].Port != s.Ports[0].Name || !within(scraped.Selector.MatchLabels, in.operators.Labels) {
		t.Errorf("Prometheus asks %+v of %v; the service has %v", scraped.Endpoints, scraped.Selector.MatchLabels, in.operators.Labels)
	}
	let := in.network.Spec.Ingress
	if len(let) != 2 || len(let[0].Ports) != 1 || let[0].Ports[0].Port.String() != "http" || len(let[1].Ports) != 1 || let[1].Ports[0].Port.String() != "operators" {
		t.Fatalf("the network policy lets in %+v", let)
	}
	if from := let[1].From; len(from) != 1 || from[0].PodSelector.MatchLabels["app.kubernetes.io/name"] != "prometheus" || from[0].NamespaceSelector == nil {
		t.Errorf("the network policy lets in %+v", from)
	}
}

// TestOperatorsPortIsShutUnlessSomebodyIsNamed: a rule without "from" would let
// everybody in.
func TestOperatorsPortIsShutUnlessSomebodyIsNamed(t *testing.T) {
	in := installed(t, "shut", readValues(t, "operators: {enabled: true}"))
	if let := in.network.Spec.Ingress; len(let) != 1 || len(let[0].Ports) != 1 || let[0].Ports[0].Port.String() != "http" {
		t.Errorf("the network policy lets in %+v", let)
	}
}

// TestOperatorsPortSettings: where it listens, whether it speaks plain HTTP, and
// whether what moved stays with the clients too.
func TestOperatorsPortSettings(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		in := installed(t, values, readValues(t, values))
		env := plainEnv(in.container(t))
		got := fmt.Sprintf("%s plain %s both %s", env["ADMIN_ADDR"], env["ADMIN_PLAIN_HTTP"], env["ADMIN_ON_PUBLIC_PORT"])
		if in.monitor != nil && in.monitor.Spec.Endpoints[0].Scheme != nil {
			got += " by " + strings.ToLower(string(*in.monitor.Spec.Endpoints[0].Scheme))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", values, got, want)
		}
		for name := range env {
			if strings.HasPrefix(name, "TLS_") { // its files are not here
				delete(env, name)
				env["ADMIN_PLAIN_HTTP"] = "true"
			}
		}
		if said, ok := accepted(t, env); !ok {
			t.Errorf("%s: %s", values, said)
		}
	}
	f("operators: {enabled: true}", "0.0.0.0:18001 plain true both false")
	f("operators: {enabled: true, port: 9000, alsoOnPublicPort: true}", "0.0.0.0:9000 plain true both true")
	f("operators: {enabled: true}\nsettings: {HOST: '::'}", "[::]:18001 plain true both false")
	f("operators: {enabled: true, from: [{podSelector: {}}]}\ntls: {existingSecret: pods}\nserviceMonitor: {enabled: true}",
		"0.0.0.0:18001 plain false both false by https")
}

// TestGatewayAnswersWhereTheChartAsks: the image, with the chart's settings,
// answers the probes and Prometheus each at the port that they are given, and
// does not have the metrics on the other.
func TestGatewayAnswersWhereTheChartAsks(t *testing.T) {
	i := assemble(t)
	i.shutFiles(t)
	f := func(name string, values chartutil.Values) {
		t.Helper()
		i.emptyData(t)
		in := installed(t, name, values)
		c := in.run(t, i)
		operators := c.url
		if m := regexp.MustCompile(`operators' listener\s+(http://[^\s,]+)`).FindStringSubmatch(c.output()); m != nil {
			operators = m[1]
		}
		probed := in.container(t)
		for _, p := range []*core.Probe{probed.StartupProbe, probed.ReadinessProbe, probed.LivenessProbe} {
			answers(t, c.url+p.HTTPGet.Path, http.StatusOK)
		}
		metrics := in.monitor.Spec.Endpoints[0].Path
		answers(t, operators+metrics, http.StatusOK)
		if in.operators != nil {
			answers(t, c.url+metrics, http.StatusNotFound)
		}
		if (operators != c.url) != (in.operators != nil) {
			t.Errorf("%s: clients at %s, operators at %s", name, c.url, operators)
		}
		if code := c.stop(t); code != 0 {
			t.Errorf("%s: exit code %d\n%s", name, code, c.output())
		}
	}
	f("apart", valuesFile(t, "apart"))
	f("one port", readValues(t, "serviceMonitor: {enabled: true}"))
}

// run starts the image as its pod would, on free ports.
func (in *installation) run(t *testing.T, i *image) *container {
	t.Helper()
	env := in.settings(t)
	if env["ADMIN_ADDR"] != "" {
		env["ADMIN_ADDR"] = "127.0.0.1:0"
	}
	var changes []string
	for name, value := range env {
		changes = append(changes, name+"="+value)
	}
	changes = append(changes, "HOST=127.0.0.1", "PORT=0")
	return begin(t, i.inReadOnly(slices.Concat(i.entrypoint, i.cmd), i.environment(changes...)))
}

// answers demands a status of a page.
func answers(t *testing.T, url string, want int) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s: %d, want %d", url, resp.StatusCode, want)
	}
}

// TestPageOpensTheOperatorsPort: the values of the page's command are the
// chart's, and lead to the Service that the page forwards to.
func TestPageOpensTheOperatorsPort(t *testing.T) {
	line := commands(t, "helm upgrade ")[0]
	values := chartutil.Values{"fullnameOverride": "llm-proxy", "serviceMonitor": map[string]any{"enabled": true}}
	for _, m := range regexp.MustCompile(`--set '?([^' ]+)`).FindAllStringSubmatch(line, -1) {
		if err := strvals.ParseInto(m[1], values); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	in := installed(t, line, values)
	from := in.network.Spec.Ingress[1].From
	if len(from) != 1 || from[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "monitoring" {
		t.Errorf("the network policy lets in %+v", from)
	}
	forward := fmt.Sprintf("svc/%s %d", in.operators.Name, in.operators.Spec.Ports[0].Port)
	if got := commands(t, "kubectl --namespace llm port-forward ")[0]; !strings.HasSuffix(got, forward) {
		t.Errorf("%s: want %s", got, forward)
	}
}
