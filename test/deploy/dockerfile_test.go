package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// stages are the stages of the Dockerfile as BuildKit reads it, and what
// BuildKit's checks find on the way.
func stages(t *testing.T) (all []instructions.Stage, findings []string) {
	t.Helper()
	ast, err := parser.Parse(strings.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ast.Warnings {
		findings = append(findings, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		findings = append(findings, rule+": "+message)
	}})
	all, _, err = instructions.Parse(ast.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return all, findings
}

// recipe is what the final stage says of the image beside its files.
type recipe struct {
	env              map[string]string
	labels           map[string]string
	user             string
	volumes, ports   []string
	entrypoint, cmd  []string
	health           []string // the command that tells whether it serves
	copies           []*instructions.CopyCommand
	shellForm, other []string // instructions that need a shell; those that have no place here
}

// readRecipe reads the final stage; ARGs have their defaults.
func readRecipe(t *testing.T) *recipe {
	t.Helper()
	all, _ := stages(t)
	r := &recipe{env: map[string]string{}, labels: map[string]string{}}
	args := map[string]string{}
	lex := shell.NewLex('\\')
	expand := func(word string) (string, error) {
		var env []string
		for name, value := range args {
			env = append(env, name+"="+value)
		}
		w, _, err := lex.ProcessWord(word, shell.EnvsFromSlice(env))
		return w, err
	}
	for _, c := range all[len(all)-1].Commands {
		if x, ok := c.(instructions.SupportsSingleWordExpansion); ok {
			if err := x.Expand(expand); err != nil {
				t.Fatalf("%s: %v", c, err)
			}
		}
		r.take(c, args)
	}
	return r
}

func (r *recipe) take(c instructions.Command, args map[string]string) {
	switch c := c.(type) {
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			args[a.Key] = a.ValueString()
		}
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			r.env[kv.Key] = kv.Value
		}
	case *instructions.LabelCommand:
		for _, kv := range c.Labels {
			r.labels[kv.Key] = kv.Value
		}
	case *instructions.UserCommand:
		r.user = c.User
	case *instructions.VolumeCommand:
		r.volumes = append(r.volumes, c.Volumes...)
	case *instructions.ExposeCommand:
		r.ports = append(r.ports, c.Ports...)
	case *instructions.EntrypointCommand:
		r.entrypoint = r.words(c.ShellDependantCmdLine, c)
	case *instructions.CmdCommand:
		r.cmd = r.words(c.ShellDependantCmdLine, c)
	case *instructions.HealthCheckCommand:
		if r.health = c.Health.Test[1:]; c.Health.Test[0] != "CMD" {
			r.shellForm = append(r.shellForm, c.String())
		}
	case *instructions.CopyCommand:
		r.copies = append(r.copies, c)
	default:
		r.other = append(r.other, fmt.Sprint(c))
	}
}

func (r *recipe) words(line instructions.ShellDependantCmdLine, c fmt.Stringer) []string {
	if line.PrependShell {
		r.shellForm = append(r.shellForm, c.String())
	}
	return line.CmdLine
}

// TestBuildKitHasNothingToSay: the parser and the checks of BuildKit are content.
func TestBuildKitHasNothingToSay(t *testing.T) {
	if _, findings := stages(t); len(findings) > 0 {
		t.Errorf("%q", findings)
	}
}

func TestImageIsBuiltFromNamedVersions(t *testing.T) {
	all, _ := stages(t)
	pinned := regexp.MustCompile(`^(scratch|[a-z/.-]+:\d+\.\d+\.\d+(-[a-z]+)?)$`)
	for _, s := range all {
		if !pinned.MatchString(s.BaseName) {
			t.Errorf("FROM %s names no version", s.BaseName)
		}
		for _, c := range s.Commands {
			if c.Name() == "ADD" {
				t.Errorf("%s: COPY does not fetch or unpack behind one's back", c)
			}
		}
	}
	if last := all[len(all)-1]; len(all) < 2 || last.BaseName != "scratch" {
		t.Errorf("%d stages, the last one from %s: want a build, and an image from scratch", len(all), last.BaseName)
	}
}

// TestImageIsBuiltWithTheModulesGo: with the Go that go.mod asks for, or a newer
// one of the same release.
func TestImageIsBuiltWithTheModulesGo(t *testing.T) {
	all, _ := stages(t)
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil || !strings.HasPrefix(all[0].BaseName, "golang:"+m[1]+".") {
		t.Errorf("go.mod says %q, the Dockerfile %q", m, all[0].BaseName)
	}
}

func TestImageSaysHowItIsRun(t *testing.T) {
	r := readRecipe(t)
	if len(r.shellForm)+len(r.other) > 0 {
		t.Errorf("there is no shell in the image: %q %q", r.shellForm, r.other)
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(r.user) {
		t.Errorf("USER %q: Kubernetes tells who is not root by a number", r.user)
	}
	if !slices.Equal(r.volumes, []string{"/data"}) || r.env["DATA_DIR"] != "/data" {
		t.Errorf("volumes %q, DATA_DIR %q", r.volumes, r.env["DATA_DIR"])
	}
	if !slices.Equal(r.ports, []string{r.env["PORT"]}) || r.env["HOST"] != "0.0.0.0" {
		t.Errorf("ports %q, PORT %q, HOST %q", r.ports, r.env["PORT"], r.env["HOST"])
	}
	known := settings(t)
	for name := range r.env {
		if !known[name] {
			t.Errorf("ENV %s is no setting", name)
		}
	}
	for _, label := range []string{"title", "description", "version", "licenses"} {
		if r.labels["org.opencontainers.image."+label] == "" {
			t.Errorf("the label %s is missing: %v", label, r.labels)
		}
	}
}
