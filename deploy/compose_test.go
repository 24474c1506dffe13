// Package deploy holds what surrounds the gateway where it runs, and these
// tests, which read it as the tools do that use it.
package deploy

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"llmproxy/config"
)

// compose is the part of the Compose format that the project uses. Decoding is
// strict, so that a misspelled key is an error and not ignored.
type compose struct {
	Name     string
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Build *struct {
		Context string
		Args    map[string]string
	}
	Image       string
	Restart     string
	StopGrace   string                                `yaml:"stop_grace_period"`
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Environment map[string]string
	Command     []string
	Ports       []string
	Volumes     []string
	Healthcheck struct {
		Test              []string
		Interval, Timeout string
		Retries           int
		StartPeriod       string `yaml:"start_period"`
	}
	ReadOnly    bool `yaml:"read_only"`
	Tmpfs       []string
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Ulimits     map[string]int
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// strict decodes YAML and refuses unknown and repeated keys.
func strict(t *testing.T, name string, v any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readCompose(t *testing.T) *compose {
	t.Helper()
	c := &compose{}
	strict(t, "../docker-compose.yml", c)
	return c
}

func TestComposeServices(t *testing.T) {
	c := readCompose(t)
	want := []string{"grafana", "llm-proxy", "postgres", "prometheus"}
	if got := slices.Sorted(maps.Keys(c.Services)); !slices.Equal(got, want) {
		t.Errorf("services: got %q, want %q", got, want)
	}
	for name, s := range c.Services {
		if len(s.Healthcheck.Test) < 2 || s.Healthcheck.Interval == "" || s.Healthcheck.Timeout == "" || s.Healthcheck.Retries == 0 {
			t.Errorf("%s: the health check is not whole: %+v", name, s.Healthcheck)
		}
		if s.Restart != "unless-stopped" {
			t.Errorf("%s: restart is %q", name, s.Restart)
		}
		for other, on := range s.DependsOn {
			if _, ok := c.Services[other]; !ok || on.Condition == "" {
				t.Errorf("%s depends on %s under condition %q", name, other, on.Condition)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "${PUBLISH_ON:-127.0.0.1}:") {
				t.Errorf("%s: port %q is open to the network by default", name, port)
			}
		}
	}
	if c.Services["llm-proxy"].DependsOn["postgres"].Condition != "service_healthy" {
		t.Error("the gateway does not wait for its database")
	}
	if ports := c.Services["postgres"].Ports; len(ports) > 0 {
		t.Errorf("the database is published: %q", ports)
	}
}

func TestComposeImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$`)
	for name, s := range readCompose(t).Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q has no version", name, s.Image)
		}
	}
}

func TestComposeVolumes(t *testing.T) {
	c := readCompose(t)
	used := map[string]bool{}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if strings.HasPrefix(from, "./") {
				if _, err := os.Stat(filepath.Join("..", from)); err != nil || !strings.HasSuffix(to, ":ro") {
					t.Errorf("%s: %q is not there, or not read-only: %v", name, v, err)
				}
				continue
			}
			used[from] = true
		}
	}
	if want := slices.Sorted(maps.Keys(c.Volumes)); !slices.Equal(slices.Sorted(maps.Keys(used)), want) {
		t.Errorf("volumes used: %v, declared: %v", used, want)
	}
	for name, path := range map[string]string{"llm-proxy": "/data", "postgres": "/var/lib/postgresql/data", "prometheus": "/prometheus", "grafana": "/var/lib/grafana"} {
		if !slices.ContainsFunc(c.Services[name].Volumes, func(v string) bool { return strings.HasSuffix(v, ":"+path) }) {
			t.Errorf("%s keeps nothing of %s", name, path)
		}
	}
}

// settings are the names that the program reads, from its own help.
func settings(t *testing.T) string {
	t.Helper()
	var help bytes.Buffer
	if _, err := config.ParseOptions([]string{"--help"}, func(string) (string, bool) { return "", false }, &help); err != nil {
		t.Fatal(err)
	}
	return help.String()
}

func TestComposeSetsRealSettings(t *testing.T) {
	help := settings(t)
	for name := range readCompose(t).Services["llm-proxy"].Environment {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(help) {
			t.Errorf("%s is no setting of llm-proxy", name)
		}
	}
}

// TestComposeSettingsAreAccepted gives the gateway's service its environment,
// as Compose would make it with nothing but a key in .env.
func TestComposeSettingsAreAccepted(t *testing.T) {
	variable := regexp.MustCompile(`\$\{(\w+)(:[-?])([^}]*)\}`)
	env := map[string]string{}
	for name, value := range readCompose(t).Services["llm-proxy"].Environment {
		env[name] = variable.ReplaceAllStringFunc(value, func(ref string) string {
			m := variable.FindStringSubmatch(ref)
			if m[2] == ":?" {
				return "a-key-from-the-env-file"
			}
			return m[3]
		})
	}
	o, err := config.ParseOptions(nil, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "postgresql://llm_proxy:llm_proxy@postgres:5432/llm_proxy?sslmode=disable"; o.DBURL.Reveal() != want {
		t.Errorf("DB_URL: got %q, want %q", o.DBURL.Reveal(), want)
	}
}

// TestNoSecretsInline: what opens something is asked for, or is one of the two
// defaults that the file itself explains.
func TestNoSecretsInline(t *testing.T) {
	explained := []string{"${POSTGRES_PASSWORD:-llm_proxy}", "${GRAFANA_PASSWORD:-admin}", "${SECRET_KEY:-}"}
	for name, s := range readCompose(t).Services {
		for key, value := range s.Environment {
			if !regexp.MustCompile(`KEY|PASSWORD|SECRET|TOKEN`).MatchString(key) {
				continue
			}
			if !slices.Contains(explained, value) && !strings.HasPrefix(value, "${"+key+":?") {
				t.Errorf("%s: %s has a value in the file", name, key)
			}
		}
	}
}

func TestGatewayIsLockedDown(t *testing.T) {
	s := readCompose(t).Services["llm-proxy"]
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("read_only %v, cap_drop %q, security_opt %q", s.ReadOnly, s.CapDrop, s.SecurityOpt)
	}
	if s.StopGrace != "40s" || s.Environment["SHUTDOWN_GRACE_SECS"] != "30" {
		t.Errorf("Docker kills after %s, the gateway drains for %s s", s.StopGrace, s.Environment["SHUTDOWN_GRACE_SECS"])
	}
}

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is missing: apt-get install prometheus")
	}
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusConfigAndRules(t *testing.T) {
	promtool(t, "check", "config", "prometheus/prometheus.yml")
	promtool(t, "test", "rules", "prometheus/tests/llm-proxy.yml")
}
