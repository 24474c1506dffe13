package deploy

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeKey is what .env must give; see the top of the file.
const composeKey = "a-key-from-the-env-file"

// compose loads the file as Compose does: checked against the specification,
// variables filled in, profiles applied.
func compose(env map[string]string, profiles ...string) (*types.Project, error) {
	return composeFiles([]string{"docker-compose.yml"}, env, profiles...)
}

// composeFiles loads several files, each laid over those before it.
func composeFiles(names []string, env map[string]string, profiles ...string) (*types.Project, error) {
	dir, err := filepath.Abs(tree)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join(dir, name))
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: types.ToConfigFiles(files),
		Environment: env,
	}, loader.WithProfiles(profiles))
}

// everything is the project with all its services, and a key in .env alone.
func everything(t *testing.T) *types.Project {
	t.Helper()
	p, err := compose(map[string]string{"ADMIN_KEY": composeKey}, "*")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeServices(t *testing.T) {
	f := func(want []string, profiles ...string) {
		t.Helper()
		p, err := compose(map[string]string{"ADMIN_KEY": composeKey}, profiles...)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
			t.Errorf("profiles %q: got %q, want %q", profiles, got, want)
		}
	}
	f([]string{"grafana", "llm-proxy", "postgres", "prometheus"})
	f([]string{"grafana", "llm-proxy", "llm-proxy-2", "postgres", "prometheus"}, "two")
}

// TestComposeAsksForTheAdminKey: what opens the gateway has no default.
func TestComposeAsksForTheAdminKey(t *testing.T) {
	_, err := compose(nil)
	if err == nil || !strings.Contains(err.Error(), "ADMIN_KEY") {
		t.Errorf("without ADMIN_KEY: got %v", err)
	}
}

// TestComposeServicesAreKept: each is watched, started again, without ways to
// more rights, and waits for what it needs.
func TestComposeServicesAreKept(t *testing.T) {
	for name, s := range everything(t).Services {
		h := s.HealthCheck
		if h == nil || len(h.Test) < 2 || h.Test[0] != "CMD" || h.Interval == nil || h.Timeout == nil || h.Retries == nil {
			t.Errorf("%s: the health check is not whole: %+v", name, h)
		}
		if s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s: restart is %q", name, s.Restart)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain rights: %q", name, s.SecurityOpt)
		}
		if name != "postgres" && !slices.Equal(s.CapDrop, []string{"ALL"}) { // its entry point changes the owner of its data
			t.Errorf("%s: cap_drop is %q", name, s.CapDrop)
		}
		for other, on := range s.DependsOn {
			if on.Condition == types.ServiceConditionStarted && !(name == "prometheus" && other == "llm-proxy") {
				t.Errorf("%s does not wait until %s is healthy", name, other)
			}
		}
	}
	for _, gateway := range gateways(t) {
		if gateway.DependsOn["postgres"].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait for its database", gateway.Name)
		}
	}
}

func gateways(t *testing.T) []types.ServiceConfig {
	t.Helper()
	p := everything(t)
	return []types.ServiceConfig{p.Services["llm-proxy"], p.Services["llm-proxy-2"]}
}

// TestComposePublishesOnThisMachineAlone: until PUBLISH_ON says otherwise, and
// the database never.
func TestComposePublishesOnThisMachineAlone(t *testing.T) {
	published := map[string]bool{}
	for name, s := range everything(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" || published[port.Published] {
				t.Errorf("%s: port %s is published on %q", name, port.Published, port.HostIP)
			}
			published[port.Published] = true
		}
		if name == "postgres" && len(s.Ports) > 0 {
			t.Errorf("the database is published: %v", s.Ports)
		}
	}
	want := []string{"18000", "18001", "3000", "9090"}
	if got := slices.Sorted(maps.Keys(published)); !slices.Equal(got, want) {
		t.Errorf("published: got %q, want %q", got, want)
	}
	p, err := compose(map[string]string{"ADMIN_KEY": composeKey, "PUBLISH_ON": "0.0.0.0"})
	if err != nil || p.Services["llm-proxy"].Ports[0].HostIP != "0.0.0.0" {
		t.Errorf("PUBLISH_ON=0.0.0.0: %+v, %v", p, err)
	}
}

func TestComposeImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$`)
	for name, s := range everything(t).Services {
		if !strings.HasPrefix(s.Image, "llm-proxy:") && !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q has no version", name, s.Image)
		}
	}
}

// TestComposeVolumes: what is mounted from the tree is there and read-only, what
// a service keeps has a volume, and no volume is shared or for nothing.
func TestComposeVolumes(t *testing.T) {
	p := everything(t)
	used := map[string]bool{}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s: %s is not there, or not read-only: %v", name, v.Source, err)
				}
				continue
			}
			if used[v.Source] {
				t.Errorf("%s: the volume %s has another user", name, v.Source)
			}
			used[v.Source] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(p.Volumes)); !slices.Equal(got, want) {
		t.Errorf("volumes used: %v, declared: %v", got, want)
	}
	for name, path := range map[string]string{
		"llm-proxy": "/data", "llm-proxy-2": "/data", "postgres": "/var/lib/postgresql/data", "prometheus": "/prometheus", "grafana": "/var/lib/grafana",
	} {
		kept := func(v types.ServiceVolumeConfig) bool { return v.Target == path && v.Type == types.VolumeTypeVolume }
		if !slices.ContainsFunc(p.Services[name].Volumes, kept) {
			t.Errorf("%s keeps nothing of %s", name, path)
		}
	}
}

// environment is a service's, with the image's beneath it.
func environment(t *testing.T, s types.ServiceConfig) map[string]string {
	env := maps.Clone(readRecipe(t).env)
	for name, value := range s.Environment {
		env[name] = *value
	}
	return env
}

// TestComposeSettings: the gateways' environment are settings that there are,
// with values that the program takes.
func TestComposeSettings(t *testing.T) {
	known := settings(t)
	for _, s := range gateways(t) {
		env := environment(t, s)
		for name := range env {
			if !known[name] {
				t.Errorf("%s: %s is no setting", s.Name, name)
			}
		}
		if said, ok := accepted(t, env); !ok {
			t.Errorf("%s: %s", s.Name, said)
		}
		if want := "postgresql://llm_proxy:llm_proxy@postgres:5432/llm_proxy?sslmode=disable"; env["DB_URL"] != want {
			t.Errorf("%s: DB_URL: got %q, want %q", s.Name, env["DB_URL"], want)
		}
	}
}

// accepted reports whether the image's program takes these settings, and what
// it says: "health" reads all of them, and ends with 2 if one cannot be used.
func accepted(t *testing.T, env map[string]string) (said string, ok bool) {
	t.Helper()
	i := assemble(t)
	cmd := exec.Command(filepath.Join(i.root, "llm-proxy"), "health")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "HOST=127.0.0.1", "PORT=1") // nobody is there
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode() == 1
}

func TestAcceptedTellsBadSettings(t *testing.T) {
	if said, ok := accepted(t, map[string]string{"DB_URL": "mysql://nobody", "LOG_LEVEL": "loud"}); ok || !strings.Contains(said, "LOG_LEVEL") {
		t.Errorf("bad settings are taken: %s", said)
	}
}

// TestComposeHoldsNoSecrets: what opens something is asked for, or is one of
// the defaults that the file itself explains.
func TestComposeHoldsNoSecrets(t *testing.T) {
	explained := []string{composeKey, "llm_proxy", "admin", ""}
	secret := regexp.MustCompile(`KEY|PASSWORD|SECRET|TOKEN`)
	for name, s := range everything(t).Services {
		for key, value := range s.Environment {
			if secret.MatchString(key) && !slices.Contains(explained, *value) {
				t.Errorf("%s: %s has a value in the file", name, key)
			}
		}
	}
}

// TestComposeGatewaysAreLockedDown: and they are given the time to drain.
func TestComposeGatewaysAreLockedDown(t *testing.T) {
	for _, s := range gateways(t) {
		if !s.ReadOnly || s.Privileged || len(s.CapAdd) > 0 || s.User != "" {
			t.Errorf("%s: read_only %v, privileged %v, cap_add %q, user %q", s.Name, s.ReadOnly, s.Privileged, s.CapAdd, s.User)
		}
		grace, err := time.ParseDuration(*s.Environment["SHUTDOWN_GRACE_SECS"] + "s")
		if err != nil || time.Duration(*s.StopGracePeriod) < grace+5*time.Second {
			t.Errorf("%s: Docker kills after %v, the gateway drains for %v, %v", s.Name, s.StopGracePeriod, grace, err)
		}
		if s.Ulimits["nofile"].Single < 65536 {
			t.Errorf("%s: %+v files", s.Name, s.Ulimits["nofile"])
		}
		if health := readRecipe(t).health; !slices.Equal(s.HealthCheck.Test[1:], health) {
			t.Errorf("%s: its health check %q is not the image's, %q", s.Name, s.HealthCheck.Test, health)
		}
	}
}
