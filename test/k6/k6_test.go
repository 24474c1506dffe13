// Package k6 runs the scripts of bench/k6 with k6 itself, against the gateway
// before a fake provider: they pass where all is well, and fail where it is
// not. A run lasts two seconds here, at a few requests a second.
//
// k6 is built by Go at the version of tools/k6, which takes a minute of both
// processors the first time and nothing as long as Go's build cache lives.
package k6

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

const (
	scripts = "../../bench/k6"
	model   = "public-model"
	// thresholdsFailed is the exit code of k6 when a threshold was crossed.
	thresholdsFailed = 99
	// runLimit ends a run that does not end: two seconds, k6's start, a busy machine.
	runLimit = 90 * time.Second
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Run(m)) }

// program is the path of k6.
var program = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "-C", "../../tools/k6", "tool", "-n", "k6")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", errors.New("build k6: " + err.Error() + "\n" + said.String())
	}
	return strings.TrimSpace(string(out)), nil
})

// command is k6 that sends nothing to anyone but the gateway, and knows
// nothing of the machine's own settings.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("k6 is built for it")
	}
	k6, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, k6, args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false",
	}, env...)
	return cmd
}

// summary is what k6 writes of a run.
type summary struct {
	Metrics map[string]struct {
		Passes, Fails int // of checks and rates
		Count         float64
	} `json:"metrics"`
}

// run runs one script and returns k6's exit code, what it printed, and its
// figures.
func run(t *testing.T, script, base, key string, env ...string) (code int, said string, s summary) {
	t.Helper()
	figures := filepath.Join(t.TempDir(), "summary.json")
	env = append([]string{"BASE_URL=" + base, "API_KEY=" + key, "MODEL=" + model, "P95_MS=20000", "FIRST_BYTE_MS=20000", "DURATION=2s"}, env...)
	cmd := command(t, env, "run", "--quiet", "--no-color", "--address=", "--summary-export="+figures, filepath.Join(scripts, script))
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(figures)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	if strings.Contains(string(out), key) {
		t.Errorf("%s prints the key:\n%s", script, out)
	}
	return cmd.ProcessState.ExitCode(), string(out), s
}

// gateway is one before a provider that answers so (nil: as OpenAI does), and
// a key of it.
func gateway(t *testing.T, handler fakeprovider.Handler, credential map[string]any) (url, key string) {
	t.Helper()
	fake := fakeprovider.Start(t)
	fake.Handle(handler)
	g := gatewaytest.Start(t)
	g.AddProvider(t, map[string]any{"provider_key": "fake", "api_base": fake.URL(), "model_mapping": map[string]string{model: "fake-model"}})
	if credential == nil {
		credential = map[string]any{"name": "k6"}
	}
	key, _ = g.AddCredential(t, credential)
	return g.URL, key
}

// paced answers as OpenAI does, at a speed at which two clients do not keep
// the machine busy.
func paced(r *fakeprovider.Request) fakeprovider.Answer {
	a := fakeprovider.OpenAI(r)
	a.Gap = 20 * time.Millisecond
	return a
}

// Every script is one that k6 understands, and has thresholds: without them it
// could not fail.
func TestScriptsParse(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(scripts, "*.js"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		name := filepath.Base(file)
		if name == "gateway.js" {
			continue
		}
		names = append(names, name)
		out, err := command(t, []string{"API_KEY=k"}, "inspect", "--include-system-env-vars", file).Output()
		var options struct{ Thresholds map[string]any }
		if err == nil {
			err = json.Unmarshal(out, &options)
		}
		if err != nil || len(options.Thresholds) < 3 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if want := []string{"load.js", "smoke.js", "soak.js", "spike.js", "streaming.js", "stress.js"}; !slices.Equal(names, want) {
		t.Errorf("scripts %v; want %v", names, want)
	}
}

// Before a gateway that does as it should every script passes, having checked
// something.
func TestScriptsPass(t *testing.T) {
	t.Parallel()
	url, key := gateway(t, paced, nil)
	for script, env := range map[string][]string{
		"smoke.js": {}, "load.js": {"RATE=5"}, "streaming.js": {"VUS=2"}, "spike.js": {"RATE=5", "FACTOR=3"},
		"soak.js": {"RATE=5", "METRICS_URL=" + url + "/metrics", "MEMORY_MB=4096"},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			code, said, s := run(t, script, url+"/v1", key, env...)
			if checks := s.Metrics["checks"]; code != 0 || checks.Passes < 20 || checks.Fails != 0 {
				t.Errorf("exit code %d, checks %+v\n%s", code, checks, said)
			}
		})
	}
}

// A wrong key, a stream that breaks off and a refusal where there is no crowd
// are seen.
func TestScriptsFail(t *testing.T) {
	t.Parallel()
	f := func(name, script, url, key, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, said, _ := run(t, script, url+"/v1", key, "RATE=10", "VUS=2")
			if code != thresholdsFailed || !strings.Contains(said, "✗ "+want) {
				t.Errorf("exit code %d; want %d and that failed: %q\n%s", code, thresholdsFailed, want, said)
			}
		})
	}
	url, _ := gateway(t, nil, nil)
	f("wrong key", "smoke.js", url, "sk-nobody-at-all", "status is 200")

	url, key := gateway(t, func(r *fakeprovider.Request) fakeprovider.Answer {
		a := paced(r)
		a.Cut = &fakeprovider.Cut{After: 2, By: fakeprovider.FIN}
		return a
	}, nil)
	f("broken stream", "streaming.js", url, key, "the stream ends with [DONE]")

	url, key = gateway(t, nil, map[string]any{"name": "slow", "rate_limit": 1})
	f("refusals of a usual load", "load.js", url, key, "status is 200")
	f("refusals before the crowd", "spike.js", url, key, "'rate==0'")
}

// A refusal that says when to come back is no failure of a gateway that was
// asked for more than it may give.
func TestRefusalsUnderStress(t *testing.T) {
	t.Parallel()
	url, key := gateway(t, nil, map[string]any{"name": "limited", "rate_limit": 8})
	f := func(script string, env ...string) {
		t.Helper()
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			code, said, s := run(t, script, url+"/v1", key, env...)
			if refused := s.Metrics["refused"]; code != 0 || refused.Passes == 0 || refused.Fails == 0 {
				t.Errorf("exit code %d, refused and not: %+v\n%s", code, refused, said)
			}
		})
	}
	f("stress.js", "RATE=2", "FACTOR=20")
}
