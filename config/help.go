package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeHelp prints the commands and every setting.
func writeHelp(w io.Writer, groups []group) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "llm-proxy stands between OpenAI clients and their providers.\n\n")
	fmt.Fprint(table, "Usage: llm-proxy [command] [--setting value]...\n\nCommands\n")
	for _, c := range commands {
		fmt.Fprintf(table, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	fmt.Fprint(table, "\nA setting is a variable of the environment, a line of .env, or a flag:\n")
	fmt.Fprint(table, "MAX_BODY_BYTES is --max-body-bytes. Flags win, then the environment.\n")
	for _, g := range groups {
		fmt.Fprintf(table, "\n%s\n", g.title)
		for _, s := range g.settings {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", s.env, s.preset, s.help)
		}
	}
	// help goes to a terminal; there is nobody to tell that it did not.
	_ = table.Flush()
}

// settingsPage is docs/settings.md: the same table for the reader of the
// documentation.
func settingsPage(groups []group) string {
	var b strings.Builder
	b.WriteString("# Settings\n\n")
	b.WriteString("Every setting is a variable of the environment, a line of the file `.env` in the working directory, or a flag.\n")
	b.WriteString("A flag wins over the environment, the environment over `.env`, and an empty value is the default.\n")
	b.WriteString("In `.env`, a value with `$`, `#` or spaces belongs in single quotes. Sizes may be written `32MiB`, `32MB` or in bytes. Bad settings are reported all at once, by name, and the exit code is 2.\n\n")
	b.WriteString("This page is made from the table in `config/options.go`: `go test ./config -run Settings -update` writes it.\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| variable | flag | default | meaning |\n|---|---|---|---|\n", g.title)
		for _, s := range g.settings {
			preset := s.preset
			if preset != "" {
				preset = "`" + preset + "`"
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.env, s.flag(), preset, strings.ReplaceAll(s.help, "|", `\|`))
		}
	}
	return b.String()
}
