package sdk

import (
	"regexp"
	"strings"
	"testing"

	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// prints: every command succeeds, and one of them prints this.
func prints(want string) func(*testing.T, *scene, example) {
	return func(t *testing.T, s *scene, x example) {
		if out := s.run(t, s.gateway, x.text); !strings.Contains(out, want) {
			t.Errorf("it prints no %s:\n%s", want, out)
		}
	}
}

// accepted: every command succeeds.
func accepted(t *testing.T, s *scene, x example) { s.run(t, s.gateway, x.text) }

// alone is prints on a gateway of its own, because the example changes or
// removes what others use.
func alone(want string) func(*testing.T, *scene, example) {
	return func(t *testing.T, s *scene, x example) {
		own := &scene{mock: s.mock, gateway: readerGateway(t, s.mock, nil)}
		prints(want)(t, own, x)
	}
}

// withPrefix is prints of an answer, on a gateway that was started as the block
// before says.
func withPrefix(t *testing.T, s *scene, x example) {
	settings := map[string]string{"PROVIDER_SUFFIX": "Proxy"}
	own := &scene{mock: s.mock, gateway: readerGateway(t, s.mock, settings)}
	prints(`"content":"`)(t, own, x)
}

// dry: the targets exist, and make says what it would do. What they do is what
// these tests are run by; a test that runs all tests has no end.
func dry(t *testing.T, s *scene, x example) {
	for line := range strings.Lines(x.text) {
		if out := s.run(t, s.gateway, line); strings.TrimSpace(out) == "" {
			t.Errorf("%s: there is nothing to do", line)
		}
	}
}

// settingsAt runs an example and returns the settings under which it calls
// make run: those that are named in it.
func settingsAt(t *testing.T, s *scene, x example) map[string]string {
	t.Helper()
	out := s.run(t, s.gateway, x.text+"\ncat \"$SETTINGS\"\n")
	settings := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`).FindAllStringSubmatch(out, -1) {
		if strings.Contains(x.text, m[1]+"=") {
			settings[m[1]] = m[2]
		}
	}
	if len(settings) == 0 {
		t.Fatalf("make run has no settings:\n%s", out)
	}
	return settings
}

// started: a gateway starts with the settings of the example, and answers.
func started(t *testing.T, s *scene, x example) {
	settings := settingsAt(t, s, x)
	if settings["OPENAI_API_KEY"] != "" { // the page leaves the address at OpenAI's
		settings["OPENAI_BASE_URL"] = s.mock
	}
	serves(t, gatewaytest.Start(t, gatewaytest.Options{Env: settings}))
}

// startedOnPostgres is started with a database that is here.
func startedOnPostgres(t *testing.T, s *scene, x example) {
	settings := settingsAt(t, s, x)
	if settings["DB_URL"] == "" || len(settings["SECRET_KEY"]) < 32 {
		t.Fatalf("settings are %q", settings)
	}
	settings["DB_URL"] = pgtest.New(t)
	g := gatewaytest.Start(t, gatewaytest.Options{Env: settings})
	g.AddProvider(t, map[string]any{"provider_key": "mock", "api_base": s.mock})
	serves(t, g)
	if !strings.Contains(g.Output(), "AES-256-GCM") {
		t.Error("provider keys are not encrypted")
	}
}

// serves: a client's question is answered, by the model that there is.
func serves(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	_, models := g.Get(t, "/v1/models", g.Key(t))
	model := "gpt-4o-mini"
	if strings.Contains(models, `"demo"`) {
		model = "demo"
	}
	body := `{"model":"` + model + `","messages":[{"role":"user","content":"Hello!"}]}`
	if status, answer := g.Post(t, "/v1/chat/completions", g.Key(t), body); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
}

// compose: the program starts with the .env, whose lines Compose gives it. That
// Docker would build and start the rest is not tried, because there may be no
// Docker: test/deploy reads the compose file with Compose's own library, and
// puts the image together by the Dockerfile's commands and starts it.
func compose(t *testing.T, s *scene, x example) {
	out := s.run(t, s.gateway, "docker() { echo \"docker $*\"; }\n"+x.text+"\ncat .env\n")
	_, lines, called := strings.Cut(out, "docker compose up -d\n")
	settings := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=(\w{48})$`).FindAllStringSubmatch(lines, -1) {
		settings[m[1]] = m[2]
	}
	if !called || settings["ADMIN_KEY"] == "" || settings["SECRET_KEY"] == "" {
		t.Fatalf("it says %s", out)
	}
	serves(t, gatewaytest.Start(t, gatewaytest.Options{Env: settings}))
}

// bench: as the page has it, but for a second and on a port that is free.
func bench(t *testing.T, s *scene, x example) {
	text := strings.NewReplacer("9000", freePort(t), "--rate 20", "--rate 20 --time 1s --warm 0s", "300ms", "20ms").Replace(x.text)
	out := s.run(t, s.gateway, text)
	if !regexp.MustCompile(`(?m)^\s*right +20$`).MatchString(out) {
		t.Errorf("it prints\n%s", out)
	}
}
