package deploy

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// image is the root file system of the final stage, and how it is run. All
// tests share it; nobody writes to it but to its /data.
type image struct {
	*recipe
	root     string
	uid, gid int
}

// assembled is the one image of this run of the tests.
var assembled struct {
	dir   string
	image *image
}

// assemble makes the image of the Dockerfile without an engine: the first
// stage's commands run here, on the files that .dockerignore lets through, and
// the second stage's copies are made. What the first stage would find in its
// base image, Go and root certificates, is taken from this machine.
func assemble(t *testing.T) *image {
	t.Helper()
	if os.Getuid() != 0 {
		unable(t, "to give files to another user takes root", `sudo env "PATH=$PATH" scripts/test.sh`)
	}
	if assembled.image != nil {
		return assembled.image
	}
	if assembled.dir != "" {
		t.Fatal("the image could not be assembled; an earlier test says why")
	}
	dir, err := os.MkdirTemp("", "llm-proxy-image-")
	if err != nil {
		t.Fatal(err)
	}
	assembled.dir = dir
	all, _ := stages(t)
	b := &builder{context: filepath.Join(dir, "context"), root: filepath.Join(dir, "build"), env: os.Environ()}
	copyContext(t, b.context)
	for _, c := range all[0].Commands {
		b.do(t, c)
	}
	i := &image{recipe: readRecipe(t), root: filepath.Join(dir, "root")}
	if _, err := fmt.Sscanf(i.user, "%d:%d", &i.uid, &i.gid); err != nil {
		t.Fatalf("USER %s: %v", i.user, err)
	}
	for _, c := range i.copies {
		copied(t, c, b.source, i.root)
	}
	if err := os.Chmod(i.root, 0o755); err != nil { //nolint:gosec // it is another user's /
		t.Fatal(err)
	}
	assembled.image = i
	return i
}

func removeImage() {
	if assembled.dir != "" {
		os.RemoveAll(assembled.dir)
	}
}

// builder follows the instructions of the first stage.
type builder struct {
	context, root string
	workdir       string
	env           []string
}

func (b *builder) do(t *testing.T, c instructions.Command) {
	t.Helper()
	switch c := c.(type) {
	case *instructions.WorkdirCommand:
		b.workdir = c.Path
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			b.env = append(b.env, a.Key+"="+a.ValueString())
		}
	case *instructions.CopyCommand:
		inside := *c
		inside.DestPath = path.Join(b.workdir, c.DestPath) + "/"
		copied(t, &inside, func(name string) string { return filepath.Join(b.context, name) }, b.root)
	case *instructions.RunCommand:
		if line := strings.Join(c.CmdLine, " "); line != "go mod download" { // this machine's module cache stands for it
			b.run(t, line)
		}
	default:
		t.Fatalf("%s: the assembler cannot do this", c)
	}
}

// run runs a line of the first stage in its folder. What it makes it makes
// in /out.
func (b *builder) run(t *testing.T, line string) {
	t.Helper()
	out := filepath.Join(b.root, "out")
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // as in the base image
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", strings.ReplaceAll(line, "/out/", out+"/"))
	cmd.Dir, cmd.Env = filepath.Join(b.root, b.workdir), b.env
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("RUN %s: %v\n%s", line, err, said)
	}
}

// source is where a file of the first stage lies: made by it, or, as the base
// image has it, on this machine.
func (b *builder) source(name string) string {
	if made := filepath.Join(b.root, name); exists(made) {
		return made
	}
	return name
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// copied does a COPY: what from answers for the sources goes into root, owned
// by --chown, else by root.
func copied(t *testing.T, c *instructions.CopyCommand, from func(string) string, root string) {
	t.Helper()
	uid, gid := 0, 0
	if c.Chown != "" {
		if _, err := fmt.Sscanf(c.Chown, "%d:%d", &uid, &gid); err != nil {
			t.Fatalf("--chown=%s: %v", c.Chown, err)
		}
	}
	for _, name := range c.SourcePaths {
		source, to := from(name), filepath.Join(root, c.DestPath)
		if info, err := os.Stat(source); err == nil && !info.IsDir() && strings.HasSuffix(c.DestPath, "/") {
			to = filepath.Join(to, filepath.Base(name))
		}
		if err := copyTree(source, to, uid, gid, func(string, fs.DirEntry) bool { return true }); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
	}
}

// copyTree copies a file, or what is in a folder, as far as wanted, and gives
// it to an owner. Names are told to wanted from the folder on.
func copyTree(from, to string, uid, gid int, wanted func(name string, d fs.DirEntry) bool) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // as COPY makes them
		return err
	}
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		if name != "." && !wanted(name, d) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return copyOne(file, filepath.Join(to, name), d, uid, gid)
	})
}

func copyOne(from, to string, d fs.DirEntry, uid, gid int) error {
	if d.Type()&fs.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(from)
		if err != nil {
			return err
		}
		from = target
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		err = os.MkdirAll(to, 0o755) //nolint:gosec // the mode follows
	case info.Mode().IsRegular():
		var b []byte
		if b, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
	default:
		return nil // sockets and the like are in no context
	}
	if err == nil {
		err = os.Chown(to, uid, gid)
	}
	if err == nil {
		err = os.Chmod(to, info.Mode()&(fs.ModePerm|fs.ModeSticky|fs.ModeSetuid|fs.ModeSetgid))
	}
	return err
}

// ignored answers whether .dockerignore keeps a file out of the context.
func ignored(t *testing.T) func(name string) bool {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) bool {
		out, err := m.MatchesOrParentMatches(name)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// copyContext copies what Docker would send to the builder.
func copyContext(t *testing.T, to string) {
	t.Helper()
	out := ignored(t)
	if err := copyTree(tree, to, 0, 0, func(name string, _ fs.DirEntry) bool { return !out(name) }); err != nil {
		t.Fatal(err)
	}
}

// TestContextHoldsNoSecrets: keys, data and what is not built from stay out of
// the context, wherever they lie.
func TestContextHoldsNoSecrets(t *testing.T) {
	out := ignored(t)
	f := func(name string, want bool) {
		t.Helper()
		if got := out(name); got != want {
			t.Errorf("%s: kept out: %s, want %s", name, strconv.FormatBool(got), strconv.FormatBool(want))
		}
	}
	for _, name := range []string{
		".env", ".env.local", ".git/config", "data/llm-proxy.db", "server.pem", "cmd/tls/server.key",
		"bin/llm-proxy", "test/sdk/node_modules/x.js", "deploy/helm/llm-proxy/values.yaml", "server/admit_test.go",
	} {
		f(name, true)
	}
	for _, name := range []string{"go.mod", "go.sum", "cmd/llm-proxy/main.go", "migrations/postgres/000001_init.up.sql", "web/openapi.yaml"} {
		f(name, false)
	}
}
