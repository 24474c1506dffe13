package deploy

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"llmproxy/config"
)

// instructions are the lines of the Dockerfile, continued ones joined, without
// comments.
func instructions(t *testing.T) []string {
	t.Helper()
	var all []string
	text := strings.ReplaceAll(string(read(t, "../Dockerfile")), "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// finalStage are the instructions after the last FROM.
func finalStage(t *testing.T) []string {
	t.Helper()
	all := instructions(t)
	for i := len(all) - 1; i >= 0; i-- {
		if strings.HasPrefix(all[i], "FROM ") {
			return all[i:]
		}
	}
	t.Fatal("the Dockerfile has no FROM")
	return nil
}

// argument returns what follows the last instruction of a kind.
func argument(stage []string, kind string) string {
	value := ""
	for _, line := range stage {
		if rest, ok := strings.CutPrefix(line, kind+" "); ok {
			value = strings.TrimSpace(rest)
		}
	}
	return value
}

func TestDockerfileStages(t *testing.T) {
	pinned := regexp.MustCompile(`^(scratch|[a-z/.-]+:\d+\.\d+\.\d+(-[a-z]+)?)( AS [a-z]+)?$`)
	for _, line := range instructions(t) {
		if image, ok := strings.CutPrefix(line, "FROM "); ok && !pinned.MatchString(image) {
			t.Errorf("%q is not pinned to a version", image)
		}
		if strings.HasPrefix(line, "ADD ") {
			t.Errorf("%q: COPY does not fetch or unpack behind one's back", line)
		}
	}
}

// TestDockerfileGo: the image is built with the Go that the module asks for, or
// a newer one of the same release.
func TestDockerfileGo(t *testing.T) {
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(read(t, "../go.mod"))
	if m == nil || !strings.HasPrefix(instructions(t)[0], "FROM golang:"+string(m[1])+".") {
		t.Errorf("go.mod says %q, the Dockerfile %q", m, instructions(t)[0])
	}
}

func TestDockerfileRunsAsNobody(t *testing.T) {
	stage := finalStage(t)
	if user := argument(stage, "USER"); user != "65532:65532" {
		t.Errorf("USER is %q", user)
	}
	if volume := argument(stage, "VOLUME"); volume != "/data" {
		t.Errorf("VOLUME is %q", volume)
	}
	if !slices.Contains(stage, "COPY --from=build --chown=65532:65532 /out/data /data") {
		t.Error("the data folder does not belong to the user that writes it")
	}
	if !slices.ContainsFunc(stage, func(l string) bool { return strings.Contains(l, "ca-certificates.crt") }) {
		t.Error("the image has no root certificates: no provider could be reached by TLS")
	}
}

// TestDockerfileCommands: what the image runs are commands of the program.
func TestDockerfileCommands(t *testing.T) {
	stage := finalStage(t)
	_, check, _ := strings.Cut(argument(stage, "HEALTHCHECK"), "CMD ")
	f := func(command, want string) {
		t.Helper()
		var words []string
		if err := json.Unmarshal([]byte(command), &words); err != nil {
			t.Fatalf("%s: %v: there is no shell in the image", command, err)
		}
		words = slices.DeleteFunc(words, func(w string) bool { return w == "/llm-proxy" })
		o, err := config.ParseOptions(words, func(string) (string, bool) { return "", false }, &bytes.Buffer{})
		if err != nil || o.Command != want {
			t.Errorf("%s: got %+v, %v, want the command %s", command, o, err, want)
		}
	}
	f(argument(stage, "CMD"), "serve")
	f(check, "health")
	if entry := argument(stage, "ENTRYPOINT"); entry != `["/llm-proxy"]` {
		t.Errorf("ENTRYPOINT is %s", entry)
	}
}

func TestDockerfileEnvironment(t *testing.T) {
	env := strings.Fields(argument(finalStage(t), "ENV"))
	if want := []string{"HOST=0.0.0.0", "PORT=18000", "DATA_DIR=/data"}; !slices.Equal(env, want) {
		t.Errorf("got %q, want %q", env, want)
	}
}

// TestImageSeesNoSecrets: keys and data stay out of the build's context.
func TestImageSeesNoSecrets(t *testing.T) {
	ignored := strings.Split(string(read(t, "../.dockerignore")), "\n")
	for _, want := range []string{".git", ".env", ".env.*", "data", "**/node_modules"} {
		if !slices.Contains(ignored, want) {
			t.Errorf(".dockerignore lacks %s", want)
		}
	}
}
