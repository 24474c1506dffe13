package deploy

import (
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// operated is the project with what docker-compose.operators.yml changes.
func operated(t *testing.T, env map[string]string) *types.Project {
	t.Helper()
	all := map[string]string{"ADMIN_KEY": composeKey}
	maps.Copy(all, env)
	p, err := composeFiles([]string{"docker-compose.yml", "docker-compose.operators.yml"}, all, "*")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// scrape is a job of Prometheus', as far as docker-compose.yml needs it.
type scrape struct {
	Name   string `json:"job_name"`
	Static []struct {
		Targets []string `json:"targets"`
	} `json:"static_configs"`
	DNS []struct {
		Names []string `json:"names"`
		Type  string   `json:"type"`
		Port  int32    `json:"port"`
	} `json:"dns_sd_configs"`
	Relabel []struct {
		Source      []string `json:"source_labels"`
		Regex       string   `json:"regex"`
		Target      string   `json:"target_label"`
		Replacement string   `json:"replacement"`
	} `json:"relabel_configs"`
}

// scraped is what the Prometheus of a project asks: the file that its command
// names, in the folder that is mounted there.
func scraped(t *testing.T, p *types.Project) *scrape {
	t.Helper()
	s := p.Services["prometheus"]
	var file string
	for _, word := range s.Command {
		if name, ok := strings.CutPrefix(word, "--config.file="); ok {
			for _, v := range s.Volumes {
				if rest, ok := strings.CutPrefix(name, v.Target+"/"); ok {
					file = v.Source + "/" + rest
				}
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Global  map[string]string `json:"global"`
		Rules   []string          `json:"rule_files"`
		Scrapes []scrape          `json:"scrape_configs"`
	}
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	at := slices.IndexFunc(config.Scrapes, func(s scrape) bool { return s.Name == "llm-proxy" })
	if at < 0 {
		t.Fatalf("%s has no job llm-proxy, which the rules are about", file)
	}
	return &config.Scrapes[at]
}

// TestPrometheusAsksEveryGateway at the port where it has its metrics. One that
// is always there is named, so that it is missed; one of a profile is looked up,
// so that it is not, and is called by its name all the same.
func TestPrometheusAsksEveryGateway(t *testing.T) {
	f := func(p *types.Project, port string) {
		t.Helper()
		job := scraped(t, p)
		var named, lookedUp []string
		for _, c := range job.Static {
			named = append(named, c.Targets...)
		}
		for _, c := range job.DNS {
			if c.Type != "A" || c.Port == 0 { // the names have no SRV records
				t.Errorf("%+v", c)
			}
			for _, name := range c.Names {
				lookedUp = append(lookedUp, job.instance(t, name))
			}
		}
		var always, sometimes []string
		for name, s := range p.Services {
			switch {
			case !strings.HasPrefix(s.Image, "llm-proxy:"):
			case len(s.Profiles) == 0:
				always = append(always, net.JoinHostPort(name, port))
			default:
				sometimes = append(sometimes, net.JoinHostPort(name, port))
			}
		}
		if !slices.Equal(named, always) || !slices.Equal(lookedUp, sometimes) {
			t.Errorf("Prometheus asks %q, and %q if they are there; there are %q and %q", named, lookedUp, always, sometimes)
		}
	}
	f(everything(t), readRecipe(t).env["PORT"])
	f(operated(t, nil), "18001")
}

// instance is what a name that is looked up is called in the metrics.
func (s *scrape) instance(t *testing.T, name string) string {
	t.Helper()
	for _, r := range s.Relabel {
		if r.Target == "instance" && slices.Equal(r.Source, []string{"__meta_dns_name"}) {
			return regexp.MustCompile("^(?:"+r.Regex+")$").ReplaceAllString(name, r.Replacement)
		}
	}
	t.Errorf("%s is called by its address", name)
	return ""
}

// TestComposeOperators: the clients' port is as it was; what is for operators is
// on another, which is published for this machine alone, whatever PUBLISH_ON is,
// and each published port is one gateway's.
func TestComposeOperators(t *testing.T) {
	for name := range everything(t).Services {
		if s := everything(t).Services[name].Environment; s["ADMIN_ADDR"] != nil || s["ADMIN_PLAIN_HTTP"] != nil {
			t.Errorf("%s has a second listener unasked: %v", name, s)
		}
	}
	p := operated(t, map[string]string{"PUBLISH_ON": "0.0.0.0"})
	before := everything(t)
	published := map[string]bool{}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if published[port.Published] {
				t.Errorf("port %s is published twice", port.Published)
			}
			published[port.Published] = true
			if forOperators := port.Target == 18001; forOperators != (port.HostIP == "127.0.0.1") {
				t.Errorf("%s: port %d is published on %s", name, port.Target, port.HostIP)
			}
		}
		if !strings.HasPrefix(s.Image, "llm-proxy:") {
			continue
		}
		if len(s.Ports) != len(before.Services[name].Ports)+1 {
			t.Errorf("%s: ports %+v", name, s.Ports)
		}
		env := environment(t, s)
		if env["ADMIN_ADDR"] != "0.0.0.0:18001" || env["DB_URL"] == "" {
			t.Errorf("%s: settings %v", name, s.Environment)
		}
		if said, ok := accepted(t, env); !ok {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// TestComposeOperatorsKeepPrometheus: its command is replaced as a whole, and
// differs by the file alone.
func TestComposeOperatorsKeepPrometheus(t *testing.T) {
	got, want := operated(t, nil).Services["prometheus"], everything(t).Services["prometheus"]
	words := strings.ReplaceAll(strings.Join(got.Command, " "), "/operators.yml", "/prometheus.yml")
	if words != strings.Join(want.Command, " ") {
		t.Errorf("Prometheus is started with %q, without the file with %q", got.Command, want.Command)
	}
}

// TestScrapeFilesAreOne: they differ by the port alone.
func TestScrapeFilesAreOne(t *testing.T) {
	lines := func(name string) string {
		return regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "deploy/prometheus/"+name), "")
	}
	if got, want := lines("operators.yml"), strings.ReplaceAll(lines("prometheus.yml"), "18000", "18001"); got != want {
		t.Errorf("operators.yml is\n%s\nwant\n%s", got, want)
	}
}
