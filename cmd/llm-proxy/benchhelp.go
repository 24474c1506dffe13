package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// helpPage is the help of a command that has flags of its own.
type helpPage struct {
	head     string
	groups   []helpGroup
	settings string // those of the gateway that count here, too: the text of the group without flags
	tail     string
}

// helpGroup is a title and the flags under it.
type helpGroup struct {
	title string
	flags []string
}

// helpWidth is where lines are broken.
const helpWidth = 80

// print writes the page. The texts of the flags are the flag set's.
func (h *helpPage) print(w io.Writer, f *flag.FlagSet) error {
	var b strings.Builder
	b.WriteString(h.head)
	for _, g := range h.groups {
		fmt.Fprintf(&b, "\n%s:\n", g.title)
		if g.flags == nil {
			b.WriteString(h.settings)
		}
		for _, name := range g.flags {
			describe(&b, f.Lookup(name))
		}
	}
	b.WriteString("\n" + h.tail)
	_, err := io.WriteString(w, b.String())
	return err
}

// describe writes a flag, what it takes, and what it is for.
func describe(b *strings.Builder, f *flag.Flag) {
	takes, usage := flag.UnquoteUsage(f)
	if !strings.Contains(usage, "(default") && f.DefValue != "" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "false" {
		usage += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(b, "  %s\n", strings.TrimSpace("--"+f.Name+" "+strings.ToUpper(takes)))
	const indent = "        "
	line := indent
	for _, word := range strings.Fields(usage) {
		if len(line)+len(word) >= helpWidth && line != indent {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += word + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

var (
	givenValue  = regexp.MustCompile(`invalid (?:boolean )?value "(?:[^"\\]|\\.)*" for (?:flag )?`)
	unknownName = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	plainName   = regexp.MustCompile(`^[a-z][a-z.0-9-]{0,29}$`)
	keyLike     = regexp.MustCompile(`^sk-`)
)

// flagFault is the text of a flag package's error without the value that was
// given, and without a name that looks like none: either may be a key that
// lost its flag.
func flagFault(err error) string {
	text := givenValue.ReplaceAllString(err.Error(), "")
	if m := unknownName.FindStringSubmatch(text); m != nil {
		if !plainName.MatchString(m[1]) || keyLike.MatchString(m[1]) {
			return "there is a flag that is unknown, and not shown here"
		}
		return "there is no flag --" + m[1]
	}
	return strings.ReplaceAll(text, "flag needs an argument: -", "needs a value: --")
}
