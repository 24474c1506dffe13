package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestPodsAreRestricted: the pods pass the Pod Security Standard "restricted",
// as the API server itself decides it, and go beyond it where it costs nothing.
func TestPodsAreRestricted(t *testing.T) {
	standard, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, m *meta.ObjectMeta, spec *core.PodSpec) {
		t.Helper()
		for _, r := range standard.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, m, spec) {
			if !r.Allowed {
				t.Errorf("%s: %s: %s", name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		user := fmt.Sprintf("%d:%d", *spec.SecurityContext.RunAsUser, *spec.SecurityContext.RunAsGroup)
		if image := readRecipe(t).user; user != image {
			t.Errorf("%s: runs as %s, the image's user is %s", name, user, image)
		}
		if *spec.AutomountServiceAccountToken || *spec.EnableServiceLinks || !*spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("%s: token %v, service links %v, %+v", name, *spec.AutomountServiceAccountToken, *spec.EnableServiceLinks, spec.Containers[0].SecurityContext)
		}
	}
	eachInstallation(t, func(t *testing.T, in *installation) {
		f(in.name, &in.podTemplate.ObjectMeta, &in.podTemplate.Spec)
		f(in.name+", test", &in.test.ObjectMeta, &in.test.Spec)
		if in.podTemplate.Spec.SecurityContext.FSGroup == nil {
			t.Errorf("%s: nobody may write to the volume", in.name)
		}
		if in.account != nil && *in.account.AutomountServiceAccountToken {
			t.Errorf("%s: the account mounts its token", in.name)
		}
	})
}

// TestPodsHaveTheTimeToDrain: the kubelet waits for the sleep before SIGTERM,
// for the gateway's delay and grace, and a little longer.
func TestPodsHaveTheTimeToDrain(t *testing.T) {
	seconds := func(env map[string]string, name string) int64 {
		n, err := strconv.ParseInt(env[name], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eachInstallation(t, func(t *testing.T, in *installation) {
		c := in.container(t)
		env := plainEnv(c)
		var slept int64
		if c.Lifecycle != nil {
			slept = c.Lifecycle.PreStop.Sleep.Seconds
		}
		needed := slept + seconds(env, "DRAIN_DELAY_SECS") + seconds(env, "SHUTDOWN_GRACE_SECS")
		if got := *in.podTemplate.Spec.TerminationGracePeriodSeconds; got != needed+5 {
			t.Errorf("%s: it is killed after %d s, and needs %d", in.name, got, needed)
		}
	})
	if in := installed(t, "kept", valuesFile(t, "kept")); *in.podTemplate.Spec.TerminationGracePeriodSeconds != 615 {
		t.Errorf("shutdown.* do not reach the pods: %+v", in.podTemplate.Spec)
	}
}

// plainEnv are the variables that are given by value.
func plainEnv(c *core.Container) map[string]string {
	env := map[string]string{}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			env[e.Name] = e.Value
		}
	}
	return env
}

// TestPodsAreAskedWhatTheGatewayAnswers: each probe has its own endpoint, by
// the scheme that is served, and liveness is the most patient.
func TestPodsAreAskedWhatTheGatewayAnswers(t *testing.T) {
	documented := read(t, "docs/operating.md")
	eachInstallation(t, func(t *testing.T, in *installation) {
		c := in.container(t)
		scheme := core.URISchemeHTTP
		if plainEnv(c)["TLS_CERT_FILE"] != "" {
			scheme = core.URISchemeHTTPS
		}
		for path, p := range map[string]*core.Probe{"/health": c.StartupProbe, "/health/ready": c.ReadinessProbe, "/health/live": c.LivenessProbe} {
			if p.HTTPGet.Path != path || p.HTTPGet.Scheme != scheme || !strings.Contains(documented, "`"+path+"`") {
				t.Errorf("%s: %s is asked for by %+v, want %s", in.name, path, p.HTTPGet, scheme)
			}
		}
		if c.LivenessProbe.PeriodSeconds*c.LivenessProbe.FailureThreshold < 3*c.ReadinessProbe.PeriodSeconds*c.ReadinessProbe.FailureThreshold {
			t.Errorf("%s: a busy pod is killed before it is left alone", in.name)
		}
		if in.monitor != nil && in.monitor.Spec.Endpoints[0].Scheme != nil && !strings.EqualFold(string(*in.monitor.Spec.Endpoints[0].Scheme), string(scheme)) {
			t.Errorf("%s: Prometheus asks by %s", in.name, *in.monitor.Spec.Endpoints[0].Scheme)
		}
	})
}

// TestPodsGetRealSettings: every variable is a setting, given once, with a value
// that the program takes; secrets come by reference alone, from keys that are
// there.
func TestPodsGetRealSettings(t *testing.T) {
	known := settings(t)
	secret := []string{"DB_URL", "ADMIN_KEY", "SECRET_KEY", "METRICS_KEY", "OPENAI_API_KEY"}
	eachInstallation(t, func(t *testing.T, in *installation) {
		seen := map[string]bool{}
		for _, e := range in.container(t).Env {
			if !known[e.Name] || seen[e.Name] {
				t.Errorf("%s: %s is no setting, or given twice", in.name, e.Name)
			}
			seen[e.Name] = true
			if slices.Contains(secret, e.Name) != (e.ValueFrom != nil) {
				t.Errorf("%s: %s: %+v", in.name, e.Name, e)
			}
			if e.ValueFrom == nil {
				continue
			}
			ref := e.ValueFrom.SecretKeyRef
			if in.secret != nil && ref.Name == in.secret.Name && len(in.secret.Data[ref.Key]) == 0 {
				t.Errorf("%s: %s is not in the Secret", in.name, e.Name)
			}
		}
		if said, ok := accepted(t, in.settings(t)); !ok {
			t.Errorf("%s: %s", in.name, said)
		}
	})
}

// settings are the container's environment, with the Secret's values.
func (in *installation) settings(t *testing.T) map[string]string {
	t.Helper()
	env := plainEnv(in.container(t))
	for _, e := range in.container(t).Env {
		if e.ValueFrom != nil && in.secret != nil {
			env[e.Name] = string(in.secret.Data[e.ValueFrom.SecretKeyRef.Key])
		}
	}
	return env
}

// TestSecretsStayInTheSecret: what opens something is in no other object, and
// pods are started anew when it changes.
func TestSecretsStayInTheSecret(t *testing.T) {
	files, err := render(t, valuesFile(t, "fleet"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.Contains(text, "canary") {
			t.Errorf("%s tells a secret:\n%s", name, text)
		}
	}
	in := installed(t, "fleet", valuesFile(t, "fleet"))
	for name, want := range map[string]string{
		"DB_URL": "postgresql://llm:canary-password@db.example.com:5432/llm", "ADMIN_KEY": "canary-admin-key",
		"SECRET_KEY": "canary-secret-key", "METRICS_KEY": "canary-metrics-key",
	} {
		if got := string(in.secret.Data[name]); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	changed := valuesFile(t, "fleet")
	changed["secrets"].(map[string]any)["secretKey"] = "another-secret-key"
	const sum = "checksum/secret"
	if other := installed(t, "changed", changed); other.podTemplate.Annotations[sum] == in.podTemplate.Annotations[sum] {
		t.Error("a changed secret starts no pod anew")
	}
}

// TestGivenSecretsAreUsed: those of the cluster, by the names that it has for them.
func TestGivenSecretsAreUsed(t *testing.T) {
	in := installed(t, "kept", valuesFile(t, "kept"))
	got := map[string]string{}
	for _, e := range in.container(t).Env {
		if e.ValueFrom != nil {
			ref := e.ValueFrom.SecretKeyRef
			got[e.Name] = fmt.Sprintf("%s/%s %t", ref.Name, ref.Key, ref.Optional != nil && *ref.Optional)
		}
	}
	for name, want := range map[string]string{
		"DB_URL": "llm-db-app/uri false", "ADMIN_KEY": "llm-keys/ADMIN_KEY true", "SECRET_KEY": "llm-keys/SECRET_KEY true",
		"METRICS_KEY": "llm-keys/METRICS_KEY true", "OPENAI_API_KEY": "llm-keys/OPENAI_API_KEY true",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	credentials := in.monitor.Spec.Endpoints[0].Authorization.Credentials
	if credentials.Name != "llm-keys" || credentials.Key != "METRICS_KEY" {
		t.Errorf("Prometheus uses %+v", credentials)
	}
}

// TestDataOutlivesThePod where it is to be kept, and is bounded where it is not.
func TestDataOutlivesThePod(t *testing.T) {
	eachInstallation(t, func(t *testing.T, in *installation) {
		c := in.container(t)
		at := slices.IndexFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == readRecipe(t).env["DATA_DIR"] })
		if at < 0 || c.VolumeMounts[at].ReadOnly {
			t.Fatalf("%s: nothing to write to: %+v", in.name, c.VolumeMounts)
		}
		name := c.VolumeMounts[at].Name
		if in.stateful != nil {
			claims := in.stateful.Spec.VolumeClaimTemplates
			if len(claims) != 1 || claims[0].Name != name || in.stateful.Spec.ServiceName != in.service.Name {
				t.Errorf("%s: claims %+v, service %q", in.name, claims, in.stateful.Spec.ServiceName)
			}
			return
		}
		for _, v := range in.podTemplate.Spec.Volumes {
			if v.Name == name && (v.EmptyDir == nil || v.EmptyDir.SizeLimit.Value() <= 1<<30) { // USAGE_JOURNAL_MAX_BYTES
				t.Errorf("%s: %+v has no room for the journal, or no bound", in.name, v)
			}
		}
		if r := in.deployment.Spec.Strategy.RollingUpdate; r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() != 1 {
			t.Errorf("%s: an upgrade takes from the capacity: %+v", in.name, r)
		}
	})
}

// TestMountsHaveVolumes, and volumes are mounted.
func TestMountsHaveVolumes(t *testing.T) {
	eachInstallation(t, func(t *testing.T, in *installation) {
		var mounts, volumes []string
		for _, m := range in.container(t).VolumeMounts {
			mounts = append(mounts, m.Name)
		}
		for _, v := range in.podTemplate.Spec.Volumes {
			volumes = append(volumes, v.Name)
		}
		if in.stateful != nil {
			volumes = append(volumes, in.stateful.Spec.VolumeClaimTemplates[0].Name)
		}
		slices.Sort(mounts)
		slices.Sort(volumes)
		if !slices.Equal(mounts, volumes) {
			t.Errorf("%s: mounted %q, there are %q", in.name, mounts, volumes)
		}
	})
}

// TestPodsReachProvidersAndNotTheCloudsMetadata, unless that is allowed.
func TestPodsReachProvidersAndNotTheCloudsMetadata(t *testing.T) {
	blocked := func(values chartutil.Values) (except []string) {
		in := installed(t, "egress", values)
		for _, rule := range in.network.Spec.Egress {
			for _, to := range rule.To {
				if to.IPBlock != nil {
					except = append(except, to.IPBlock.Except...)
				}
			}
		}
		return except
	}
	if got := blocked(chartutil.Values{}); !slices.Contains(got, "169.254.0.0/16") || !slices.Contains(got, "fd00:ec2::254/128") {
		t.Errorf("blocked: %q", got)
	}
	if got := blocked(chartutil.Values{"settings": map[string]any{"ALLOW_PRIVATE_UPSTREAMS": true}}); len(got) > 0 {
		t.Errorf("blocked: %q", got)
	}
	in := installed(t, "open", valuesFile(t, "open"))
	if len(in.network.Spec.Ingress[0].From) != 1 || len(in.network.Spec.Egress) != 1 {
		t.Errorf("given rules are not used: %+v", in.network.Spec)
	}
}

// TestChartTakesTheImageByNameOrDigest, and helm test takes the same.
func TestChartTakesTheImageByNameOrDigest(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		in := installed(t, values, readValues(t, values))
		if got := in.container(t).Image; !regexp.MustCompile("^"+want+"$").MatchString(got) || in.test.Spec.Containers[0].Image != got {
			t.Errorf("%s: got %s and %s, want %s", values, got, in.test.Spec.Containers[0].Image, want)
		}
	}
	f("{}", `llm-proxy:\d+\.\d+\.\d+`)
	f("image: {repository: r.example.com/llm-proxy, tag: v9}", "r.example.com/llm-proxy:v9")
	digest := "sha256:" + strings.Repeat("0a", 32)
	f("image: {tag: v9, digest: '"+digest+"'}", "llm-proxy@"+digest)
}
