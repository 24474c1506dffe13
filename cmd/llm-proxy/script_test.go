package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"llmproxy/internal/apitest"
	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// TestScript runs the whole program, as its users do, by the texts in
// testdata/script: one behaviour a file. Beside the commands of testscript
// (exec, cmp, grep, stdout, stderr, exists, env, …) they have these, and those
// of TestFaults:
//
//	provider NAME [word…]         starts a provider that answers as the words say (fakeprovider.ParseScript);
//	                              $NAME is its api_base, $NAME_KEY the one key it takes
//	provider NAME refusing|hanging|untrusted  …is nobody: connects are refused, or hang, or its certificate is no good
//	answers NAME [word…]          lets it answer so from now on
//	once NAME [word…]             lets it answer its next request so
//	asked NAME N                  it has been asked N times
//	saw NAME PATH VALUE           …and the last request had this in its body
//	gone NAME                     …and its connection is closed by the gateway, or is soon
//
//	postgres                      makes an empty database; $DB_URL is its address
//	postgres own|stop|start|passwords  …in a server of the script's own; stops it, starts it, makes it ask for passwords
//	sql STATEMENT                 runs it there
//
//	llm-proxy ARGUMENT…           runs the program to its end; ! if it must fail
//	code N                        it, or the stopped gateway, exited with this
//	proxy [NAME=value…]           starts a gateway with these settings besides $DB_URL; embedded, $KEY is the key it made
//	said REGEXP                   it has printed this, or does soon
//	output FILE                   writes down what it has printed
//	shutdown [later]              SIGTERM and wait; later leaves the waiting to code
//	crash                         SIGKILL and wait
//
//	declare NAME [field=value…]   makes a provider row for the provider of that name; models=a,b maps names to themselves
//	key [field=value…]            makes a client key; $KEY
//	as KEY                        whom get and post speak for from now on; "" for nobody
//	admin METHOD PATH [JSON]      calls the Admin API; PATH is without /admin/v1
//	get PATH, post PATH JSON      calls anything else
//	stream PATH JSON              begins a streamed request and waits for its first event
//	hear TEXT                     reads on until this has come
//	finish                        waits for its end
//	leave                         hangs up instead
//	status N                      the last answer's status
//	json PATH VALUE               what stands in it: choices.0.message.content; a list's length is data.length
//	body REGEXP                   the whole of it
//	header NAME VALUE             a header line of it; ! if there must be none
//	keep NAME PATH                $NAME becomes what stands there
//	from-file NAME FILE           $NAME becomes what stands in the file
//	metric SERIES VALUE           a sum over samples, see gatewaytest
//
// JSON is a file's name or a text in quotes; $NAME is replaced in both. metric
// and said wait a few seconds for what is about to become true. Every answer
// is held against openapi.yaml besides.
func TestScript(t *testing.T) { testscript.Run(t, scripts("testdata/script")) }

// scripts are the texts of a folder, and all that they may say.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			w := newWorld(e.T().(testing.TB))
			e.Values[worldKey{}] = w
			e.Setenv("PATH", os.Getenv("PATH"))
			program, err := gatewaytest.Binary()
			e.Setenv("PROGRAM", program)
			e.Defer(w.end)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"provider": on((*world).provider), "answers": on((*world).answers), "once": on((*world).once),
			"asked": on((*world).asked), "saw": on((*world).saw), "gone": on((*world).gone),
			"postgres": on((*world).postgres), "sql": on((*world).sql),
			"llm-proxy": on((*world).command), "code": on((*world).exitCode),
			"proxy": on((*world).proxy), "said": on((*world).said), "output": on((*world).output), "shutdown": on((*world).shutdown), "crash": on((*world).crash),
			"declare": on((*world).declare), "key": on((*world).makeKey), "as": on((*world).speakAs),
			"admin": on((*world).admin), "get": on((*world).get), "post": on((*world).post),
			"stream": on((*world).stream), "hear": on((*world).hear), "finish": on((*world).finish), "leave": on((*world).leave),
			"ask": on((*world).question), "gets": on((*world).gets), "crowd": on((*world).crowd), "some": on((*world).some),
			"without": on((*world).without), "billed": on((*world).billed),
			"status": on((*world).status), "json": on((*world).json), "body": on((*world).body),
			"header": on((*world).header), "keep": on((*world).keep), "from-file": on((*world).fromFile), "metric": on((*world).metric),
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "ipv6":
				ln, err := net.Listen("tcp", "[::1]:0")
				if err == nil {
					ln.Close()
				}
				return err == nil, nil
			}
			return false, fmt.Errorf("no condition %s", name)
		},
	}
}

// world is what one script has around it.
type world struct {
	tb        testing.TB
	client    *http.Client // checks what it sees
	providers map[string]*fakeprovider.Provider
	says      map[string]string // the text of each one's answer
	questions int               // asked by the commands of TestFaults
	voices    []answer          // what a crowd was told
	server    *pgtest.Server
	gateway   *gatewaytest.Gateway // the last that was started
	code      int                  // of the last program that ended
	leaving   bool                 // the gateway was asked to end, and code waits for it
	last      answer
	streaming *streaming
}

type worldKey struct{}

func newWorld(tb testing.TB) *world {
	return &world{tb: tb, client: apitest.NewValidator(tb).Client(tb), providers: map[string]*fakeprovider.Provider{}, says: map[string]string{}}
}

// line is a command of a script: its words, and whether it must not hold.
type line struct {
	*testscript.TestScript
	not   bool
	words []string
}

// on makes a command of a method.
func on(f func(*world, line)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, not bool, words []string) {
		f(ts.Value(worldKey{}).(*world), line{ts, not, words})
	}
}

// at returns the word at i, "" if there are not so many.
func (l line) at(i int) string {
	if i < len(l.words) {
		return l.words[i]
	}
	return ""
}

// rest is all words from i on as one text.
func (l line) rest(i int) string { return strings.Join(l.words[min(i, len(l.words)):], " ") }

// is fails the script unless the claim is as true as the line says.
func (l line) is(claim bool, format string, args ...any) {
	if claim == l.not {
		l.Fatalf("%s: "+format, append([]any{map[bool]string{true: "it must not be", false: "it is not so"}[l.not]}, args...)...)
	}
}

// command runs the program to its end.
func (w *world) command(l line) {
	program, err := gatewaytest.Binary()
	l.Check(err)
	err = l.Exec(program, l.words...)
	var exit *exec.ExitError
	w.code = 0
	if errors.As(err, &exit) {
		w.code = exit.ExitCode()
	} else if err != nil {
		l.Fatalf("%v", err)
	}
	l.is(w.code == 0, "exit code %d", w.code)
}

func (w *world) exitCode(l line) {
	if w.leaving {
		w.code, w.leaving = w.gateway.Wait(w.tb), false
	}
	l.is(fmt.Sprint(w.code) == l.at(0), "exit code %d", w.code)
}

// proxy starts a gateway; the one before goes on in the background if it was
// not stopped.
func (w *world) proxy(l line) {
	env := map[string]string{"DATA_DIR": l.MkAbs("data"), "LOG_LEVEL": "info"}
	if url := l.Getenv("DB_URL"); url != "" {
		env["DB_URL"] = url
	}
	settings := map[string]string{}
	for _, word := range l.words {
		name, value, _ := strings.Cut(word, "=")
		settings[name] = value
	}
	maps.Copy(env, settings)
	w.gateway = gatewaytest.Start(w.tb, gatewaytest.Options{Env: env, Dir: l.MkAbs(".")})
	l.Setenv("URL", w.gateway.URL)
	soon(func() bool { return strings.Contains(w.gateway.Output(), "is it up") }) // the announcement's end
	if m := madeKey.FindStringSubmatch(w.gateway.Output()); m != nil {
		l.Setenv("KEY", m[1])
	}
	if m := madeAdminKey.FindStringSubmatch(w.gateway.Output()); m != nil {
		w.gateway.AdminKey = m[1]
	}
	if w.gateway.AdminKey != "" {
		l.Setenv("ADMIN_KEY", w.gateway.AdminKey)
	}
}

var (
	madeKey      = regexp.MustCompile(`(?m)^\s+client key\s+(\S+)$`)
	madeAdminKey = regexp.MustCompile(`(?m)^\s+admin key\s+(\S+)$`)
)

func (w *world) said(l line) {
	want := regexp.MustCompile(l.rest(0))
	if l.not {
		l.is(want.MatchString(w.gateway.Output()), "the gateway said\n%s", w.gateway.Output())
		return
	}
	ok := soon(func() bool { return want.MatchString(w.gateway.Output()) })
	l.is(ok, "the gateway said\n%s", w.gateway.Output())
}

func (w *world) output(l line) {
	l.Check(os.WriteFile(l.MkAbs(l.at(0)), []byte(w.gateway.Output()), 0o600))
}

func (w *world) shutdown(l line) {
	w.gateway.Signal(w.tb, syscall.SIGTERM)
	if w.leaving = l.at(0) == "later"; !w.leaving {
		w.code = w.gateway.Wait(w.tb)
	}
}

func (w *world) crash(line) { w.gateway.Kill(w.tb) }

// end stops what may still write to the script's folder.
func (w *world) end() {
	if w.streaming != nil {
		w.streaming.end()
	}
	if w.gateway != nil {
		w.gateway.Stop(w.tb)
	}
}
