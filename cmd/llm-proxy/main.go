// Command llm-proxy is a gateway between OpenAI clients and LLM providers.
//
//	llm-proxy [serve]                     serve clients
//	llm-proxy migrate up|down|version|force N
//	llm-proxy mock                        run a provider that answers by itself
//	llm-proxy bench URL                   load a gateway and print what its answers take
//	llm-proxy check                       check the settings and the configuration
//	llm-proxy health                      ask a running gateway whether it serves
//	llm-proxy version
//
// llm-proxy --help lists the settings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"llmproxy/config"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

// dotEnv is the file of settings, in the working directory.
const dotEnv = ".env"

// What the process exits with.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // settings that cannot be used
	exitLimit = 3 // bench: a limit was exceeded
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// run is the whole program. Tests call it too.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), out, errOut io.Writer) int {
	again := settingsOf(args, lookup)
	lookup, err := config.DotEnv(dotEnv, lookup)
	if err != nil {
		return fail(errOut, exitUsage, err)
	}
	o, err := config.ParseOptions(args, lookup, out)
	if err != nil {
		return fail(errOut, exitUsage, err)
	}
	if err := command(ctx, o, again, lookup, out, errOut); err != nil {
		return fail(errOut, exitCode(err), err)
	}
	return exitOK
}

func command(ctx context.Context, o *config.Options, again reread, lookup func(string) (string, bool), out, errOut io.Writer) error {
	switch o.Command {
	case "help":
		return nil
	case "version":
		fmt.Fprintln(out, "llm-proxy", version)
		return nil
	case "serve":
		return serve(ctx, o, again, out, errOut)
	case "migrate":
		return migrate(ctx, o, out)
	case "mock":
		return mock(ctx, o, out)
	case "bench":
		return benchmark(ctx, o, lookup, out, errOut)
	case "check":
		return check(ctx, o, out)
	case "health":
		return askHealth(ctx, o, out)
	}
	panic("BUG: a command that is not served: " + o.Command)
}

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (e coded) Unwrap() error { return e.error }

// exitCode is what the process exits with after an error.
func exitCode(err error) int {
	var own coded
	if errors.As(err, &own) {
		return own.code
	}
	return exitError
}

// fail reports what was wrong, each fault on a line of its own.
func fail(errOut io.Writer, code int, err error) int {
	if problems, ok := err.(config.Problems); ok {
		thing := "value" // of the configuration
		if code == exitUsage {
			thing = "setting"
		}
		fmt.Fprintf(errOut, "llm-proxy: %s cannot be used:\n", count(len(problems), thing))
		for _, p := range problems {
			fmt.Fprintf(errOut, "  %s: %s\n", p.Field, p.Message)
		}
		return code
	}
	fmt.Fprintln(errOut, "llm-proxy:", err)
	return code
}
