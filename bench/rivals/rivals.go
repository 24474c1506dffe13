// Package rivals starts other gateways beside llm-proxy, each in front of the
// same provider, with a configuration of its own.
//
// A rival is described by a file of JSON: those of this folder are known by
// their names, any other by its path. Their programs are installed apart, by
// install.sh into a folder of the caller's; nothing of theirs is kept here.
// Floor is no product: it is what the least proxy in Go costs.
//
//	all, err := rivals.Parse("floor,portkey,mine.json")
//	server, err := all[0].Start(bed, "/opt/rivals")
package rivals

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"llmproxy/bench/testbed"
)

// Floor is the name of the rival that this project builds itself.
const Floor = "floor"

//go:embed *.json
var known embed.FS

// Rival says how a gateway is started and spoken to. In Command, Env, Files
// and Headers these words are replaced: @HOST@, @PORT@ and @ADDR@ by where it
// has to listen, @PROVIDER@ by the provider's host:port, @DIR@ by the folder
// of its Files, @RIVALS@ by the folder that install.sh filled.
type Rival struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	On      string            `json:"on"` // which of its work it does in this configuration
	Command []string          `json:"command"`
	Env     []string          `json:"env"`     // NAME=value
	Files   map[string]string `json:"files"`   // by name; written before the start
	Headers []string          `json:"headers"` // lines "name: value" of each request
	Key     string            `json:"key"`     // sent as the Bearer token; "none" when empty
	Model   string            `json:"model"`   // what it calls the model; testbed.Model when empty
	Ready   string            `json:"ready"`   // path that is answered once it is up
	// Settle is how many seconds of load it gets before the first round, not
	// counted: a program that compiles itself as it runs costs several times as
	// much at first.
	Settle float64 `json:"settle"`
}

// Parse reads a list of names and files, separated by commas. An empty list is
// no rival.
func Parse(list string) ([]Rival, error) {
	var all []Rival
	for _, word := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' }) {
		r, err := load(word)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o Rival) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("rival %s is named twice", r.Name)
		}
		all = append(all, r)
	}
	return all, nil
}

func load(word string) (r Rival, err error) {
	if word == Floor {
		return Rival{Name: Floor, Version: "this commit", On: "nothing", Ready: "/"}, nil
	}
	var text []byte
	if strings.HasSuffix(word, ".json") {
		text, err = os.ReadFile(word)
	} else {
		text, err = known.ReadFile(word + ".json")
	}
	if err != nil {
		return r, fmt.Errorf("rival %s: known are %s, and files of .json", word, strings.Join(Names(), ", "))
	}
	read := json.NewDecoder(bytes.NewReader(text))
	read.DisallowUnknownFields()
	if err := read.Decode(&r); err != nil {
		return r, fmt.Errorf("rival %s: %w", word, err)
	}
	if r.Name == "" || len(r.Command) == 0 || !strings.HasPrefix(r.Ready, "/") {
		return r, fmt.Errorf("rival %s: name, command and ready (a path) are needed", word)
	}
	return r, nil
}

// Names lists the rivals that are known by name.
func Names() []string {
	files, _ := fs.Glob(known, "*.json") // the pattern is well-formed
	names := []string{Floor}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f, ".json"))
	}
	return names
}

// Start runs the rival on a free port in front of the bed's provider, and
// returns when it answers. installed is the folder that install.sh filled.
func (r Rival) Start(b *testbed.Bed, installed string) (*testbed.Server, error) {
	addr, err := testbed.FreeAddr()
	if err != nil {
		return nil, err
	}
	r.Command = slices.Clone(r.Command)
	if r.Name == Floor {
		program, err := b.BuildProgram("llmproxy/bench/rivals/floor")
		if err != nil {
			return nil, err
		}
		r.Command = []string{program, "-addr", "@ADDR@", "-provider", "@PROVIDER@"}
	}
	fill, err := r.filler(b, addr, installed)
	if err != nil {
		return nil, err
	}
	for i := range r.Command {
		r.Command[i] = fill(r.Command[i])
	}
	env := make([]string, len(r.Env))
	for i := range env {
		env[i] = fill(r.Env[i])
	}
	s, err := b.Start(r.Name, addr, b.GatewayCPUs, env, r.Command[0], r.Command[1:]...)
	if err != nil {
		return nil, fmt.Errorf("rival %s (is it installed? see bench/rivals/install.sh): %w", r.Name, err)
	}
	if r.Key != "" {
		s.Key = r.Key
	}
	s.Model = r.Model
	for _, line := range r.Headers {
		s.Header += fill(line) + "\r\n"
	}
	return s, b.Await(s, r.Ready)
}

// filler writes the rival's files, and returns what replaces the words.
func (r Rival) filler(b *testbed.Bed, addr, installed string) (func(string) string, error) {
	installed, err := filepath.Abs(installed)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.Dir, "rival-"+r.Name)
	fill := strings.NewReplacer("@ADDR@", addr, "@HOST@", host, "@PORT@", port,
		"@PROVIDER@", b.Provider, "@DIR@", dir, "@RIVALS@", installed).Replace
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for name, text := range r.Files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(fill(text)), 0o600); err != nil {
			return nil, err
		}
	}
	return fill, nil
}
