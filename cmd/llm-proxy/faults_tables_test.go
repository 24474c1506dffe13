package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/faults.md")

const faultsPage = "../../docs/faults.md"

// The published tables say what the scripts say, which TestFaults holds: what
// a client gets of each fault, and after how many attempts.
func TestFaultTables(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	bench, others := tableHead, tableHead
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := readFault(string(script))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if name := filepath.Base(file); name[0] == 's' && name[3] == '_' {
			bench += f.row(name[:3], file)
		} else {
			others += f.row("", file)
		}
	}
	page, err := os.ReadFile(faultsPage)
	if err != nil {
		t.Fatal(err)
	}
	want := withTable(t, withTable(t, string(page), "bench", bench), "others", others)
	if *update {
		if err := os.WriteFile(faultsPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if string(page) != want {
		t.Errorf("docs/faults.md does not say what the scripts say; go test ./cmd/llm-proxy -run FaultTables -update writes it. Want:\n%s", want)
	}
}

const tableHead = "| the provider | the client gets, in one piece | the client gets, as a stream |\n|---|---|---|\n"

// withTable replaces what a page has between the marks of a name.
func withTable(t *testing.T, page, name, text string) string {
	t.Helper()
	begin, end := "<!-- "+name+": made from cmd/llm-proxy/testdata/faults -->\n\n", "\n<!-- end -->"
	before, rest, ok := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("the page has no %q", begin)
	}
	return before + begin + text + end + after
}

// fault is what the page says of one script.
type fault struct {
	name          string
	whole, stream []string // what the client gets, each once, in the script's order
}

// readFault goes through the lines of a script.
func readFault(script string) (fault, error) {
	first, rest, _ := strings.Cut(script, "\n")
	name, ok := strings.CutPrefix(first, "# fault: ")
	if !ok {
		return fault{}, fmt.Errorf("the first line is %q", first)
	}
	r := reader{fault: fault{name: name}}
	r.place = &r.whole
	for line := range strings.Lines(rest) {
		if words := strings.Fields(line); len(words) > 0 {
			if err := r.line(words); err != nil {
				return r.fault, err
			}
		}
	}
	if len(r.whole)+len(r.stream) == 0 {
		return r.fault, fmt.Errorf("no client gets anything")
	}
	return r.fault, nil
}

// reader is where readFault is in a script.
type reader struct {
	fault
	place          *[]string // of the question asked last
	when, recovery string    // what is to be said before its outcome
}

// line takes one line. A comment that begins with "when" is told on the page:
// it is what the lines after it suppose.
func (r *reader) line(words []string) error {
	switch words[0] {
	case "#":
		if words[1] == "when" {
			r.when = strings.Join(words[1:], " ") + ": "
		}
	case "without":
		if words[1] == "b" {
			r.when = "alone: "
		}
	case "ask":
		r.ask(words[1:])
	case "leave":
		r.stream = append(r.stream, "nothing more; the provider's connection is closed at once, 1 attempt")
	case "gets", "some":
		o, err := parseOutcome(words[1:])
		if said := r.when + r.recovery + o.inWords(); err != nil {
			return err
		} else if !slices.Contains(*r.place, said) {
			*r.place = append(*r.place, said)
		}
	}
	return nil
}

func (r *reader) ask(how []string) {
	r.place, r.recovery = &r.whole, ""
	for _, word := range how {
		switch word {
		case "stream":
			r.place = &r.stream
		case "splice", "hold":
			r.recovery = "with `" + word + "`: "
		}
	}
}

// inWords is the outcome in the page's words. The provider with the fault is
// a; all others are the next.
func (o outcome) inWords() string {
	what := "the next one's answer"
	switch {
	case o.kind == "error" && ownCode(o.code):
		what = fmt.Sprintf("%d `%s`", o.status, o.code)
	case o.kind == "error":
		what = fmt.Sprintf("the provider's own %d", o.status)
	case o.kind == "part":
		what = "what came, then an error event"
	case strings.Contains(o.from, "+"):
		what = "a whole answer, begun by the one and ended by the next"
	case o.from == "a":
		what = "its answer"
	}
	if o.attempts == 1 {
		return what + ", 1 attempt"
	}
	return fmt.Sprintf("%s, %d attempts", what, o.attempts)
}

// ownCode reports whether the error is the gateway's.
func ownCode(code string) bool { return strings.HasPrefix(code, "upstream_") }

func (f fault) row(number, file string) string {
	name := "[" + f.name + "](../cmd/llm-proxy/" + filepath.ToSlash(file) + ")"
	if number != "" {
		name = strings.ToUpper(number) + " " + name
	}
	return "| " + name + " | " + strings.Join(f.whole, "; ") + " | " + strings.Join(f.stream, "; ") + " |\n"
}
