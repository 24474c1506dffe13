package config

import (
	"fmt"
	"strconv"
	"strings"
)

// command is a sub-command: the first argument that is no flag.
type command struct {
	name, args, help string
}

var commands = []command{
	{"serve", "", "run the gateway; this is what no command means"},
	{"migrate", "up|down|version|force N", "change the schema of the store by hand"},
	{"mock", "[flags]", "run a provider that answers by itself; mock --help lists the flags"},
	{"bench", "URL [flags]", "load a gateway and print what its answers take; bench --help lists the flags"},
	{"check", "", "check the settings and the configuration, then exit"},
	{"health", "", "ask the running gateway whether it serves, as a container's health check does"},
	{"version", "", "print the version"},
}

// arguments is a command line, taken apart.
type arguments struct {
	command  string
	args     []string
	flags    map[string]string // by the name of the environment
	help     bool
	problems Problems
}

// parseArguments takes the whole line apart and goes on after a fault, so
// that all of them are reported at once.
func parseArguments(line []string, groups []group) arguments {
	given := arguments{flags: map[string]string{}}
	known := settingsByFlag(groups)
	var words []string
	for i := 0; i < len(line); i++ {
		arg := line[i]
		if arg == "--" {
			words = append(words, line[i+1:]...)
			break
		}
		if !isFlag(arg) {
			words = append(words, arg)
			continue
		}
		name, value, hasValue := strings.Cut("--"+strings.TrimLeft(arg, "-"), "=")
		s, found := known[name]
		switch {
		case found:
			i += given.take(s, value, hasValue, line[i+1:])
		case len(words) > 0 && (words[0] == "bench" || words[0] == "mock"): // they have a help of their own
			words = append(words, arg)
		case arg == "-h" || name == "--help":
			given.help = true
		case name == "--version":
			words = append([]string{"version"}, words...)
		default:
			given.problems.add(unknownFlag(name, known))
			i += skipped(hasValue, line[i+1:])
		}
	}
	given.takeWords(words)
	return given
}

// take notes a flag and answers how many of the arguments after it were its
// value.
func (given *arguments) take(s setting, value string, hasValue bool, after []string) int {
	used := 0
	switch {
	case hasValue:
	case s.isBool && (len(after) == 0 || after[0] != "true" && after[0] != "false"):
		value = "true"
	case len(after) == 0:
		given.problems.add(s.flag(), "needs a value")
	default:
		value, used = after[0], 1
	}
	given.flags[s.env] = value
	return used
}

// takeWords finds the command and checks what follows it.
func (given *arguments) takeWords(words []string) {
	given.command = "serve"
	if len(words) > 0 {
		given.command, given.args = words[0], words[1:]
	}
	switch given.command {
	case "migrate":
		given.problems.add("migrate", checkMigrate(given.args))
	case "serve", "check", "health", "version":
		if len(given.args) > 0 {
			given.problems.add(given.command, "takes no further arguments")
		}
	case "mock", "bench":
	default:
		// The word is not repeated: it may be a secret that lost its flag.
		given.problems.add("command", "must be one of "+strings.Join(commandNames(), ", "))
	}
}

func commandNames() []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

func checkMigrate(args []string) string {
	switch {
	case len(args) == 1 && (args[0] == "up" || args[0] == "down" || args[0] == "version"):
		return ""
	case len(args) == 2 && args[0] == "force":
		if n, err := strconv.Atoi(args[1]); err == nil && n >= -1 {
			return ""
		}
	}
	return "needs one of up, down, version, force N"
}

// isFlag reports whether arg is a flag; "-" and "-1" are words.
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9')
}

// skipped guesses how many arguments belong to an unknown flag, so that its
// value is not taken for the command.
func skipped(hasValue bool, after []string) int {
	if hasValue || len(after) == 0 || isFlag(after[0]) {
		return 0
	}
	for _, c := range commands {
		if after[0] == c.name {
			return 0
		}
	}
	return 1
}

// unknownFlag is the problem of a flag that nobody knows. It is named only if
// it looks like a name: what looks like anything else may be a secret.
func unknownFlag(name string, known map[string]setting) (field, message string) {
	plain := func(r rune) bool { return 'a' <= r && r <= 'z' || r == '-' || r == '_' }
	if len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return "flag", "unknown, and not shown here"
	}
	names := make([]string, 0, len(known))
	for flag := range known {
		names = append(names, flag)
	}
	return name, Unknown(name, names)
}

// flag is the setting's name on the command line.
func (s setting) flag() string {
	return "--" + strings.ReplaceAll(strings.ToLower(s.env), "_", "-")
}

func settingsByFlag(groups []group) map[string]setting {
	known := map[string]setting{}
	for _, g := range groups {
		for _, s := range g.settings {
			if _, twice := known[s.flag()]; twice {
				panic(fmt.Sprintf("BUG: %s is declared twice", s.env))
			}
			known[s.flag()] = s
		}
	}
	return known
}
