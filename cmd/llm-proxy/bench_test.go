package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"llmproxy/bench/mockllm/provider"
)

// benchAnswer is a completion.
const benchAnswer = `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}`

// bench runs llm-proxy bench in this process: 5 requests in 100 ms, unless
// args say otherwise.
func bench(t *testing.T, environment map[string]string, args ...string) (code int, out, errOut string) {
	t.Helper()
	lookup := func(name string) (string, bool) { v, ok := environment[name]; return v, ok }
	few := []string{"bench", "--time=100ms", "--warm=0s", "--rate=50"}
	if strings.Contains(strings.Join(args, " "), "--rates") {
		few = few[:3]
	}
	var o, e bytes.Buffer
	code = run(t.Context(), append(few, args...), lookup, &o, &e)
	return code, o.String(), e.String()
}

// TestBenchExitsWithWhatAScriptWantsToKnow: every second answer is wrong.
func TestBenchExitsWithWhatAScriptWantsToKnow(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/right/chat/completions" && n.Add(1)%2 == 0 {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		io.WriteString(w, benchAnswer)
	}))
	defer srv.Close()
	f := func(code int, said string, args ...string) {
		t.Helper()
		got, _, errOut := bench(t, nil, args...)
		if got != code || !strings.Contains(errOut, said) {
			t.Errorf("%q: exit code %d, said %q; want %d, %q", args, got, errOut, code, said)
		}
	}
	right := srv.URL + "/right"
	f(exitOK, "", right)
	f(exitOK, "", right, "--max-p99=1h", "--max-errors=0%", "--min-answered=1", "--max-p99.9=1h", "--max-first-byte-p99=1h")
	f(exitLimit, "latency p99", right, "--max-p99=1ns")
	f(exitLimit, "answered a second, below 1000", right, "--min-answered=1000")
	f(exitLimit, "latency ratio p50", right, "--against="+right, "--rounds=1", "--max-ratio=0.000001")
	f(exitError, "not as they should be", srv.URL)
	f(exitOK, "", srv.URL, "--max-errors=60%")
	f(exitLimit, "answers wrong, above 10%", srv.URL, "--max-errors=10%")
	f(exitLimit, "answers wrong, above 10%", srv.URL, "--max-errors=0.1", "--rates=20,50")
}

// TestBenchFlagsThatCannotBeUsedAreToldWithoutTheirValues: a value may be a
// key that lost its flag.
func TestBenchFlagsThatCannotBeUsedAreToldWithoutTheirValues(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1"
	f := func(said string, args ...string) {
		t.Helper()
		code, out, errOut := bench(t, nil, args...)
		if code != exitUsage || out != "" || !strings.Contains(errOut, said) || strings.Contains(errOut, "sk-") {
			t.Errorf("%q: exit code %d, said %q; want %q", args, code, errOut, said)
		}
	}
	f("needs one URL")
	f("needs one URL", "sk-secret", url)
	f("the address must be", "sk-secret")
	f("-rate: parse error", url, "--rate=sk-secret")
	f("-time: parse error", url, "--time", "sk-secret")
	f("-max-p99: is a time", url, "--max-p99=sk-secret")
	f("-max-errors: is a share", url, "--max-errors=101%")
	f("-rates: is a list of numbers", url, "--rates=1,sk-secret")
	f("there is no flag --pace", url, "--pace=sk-secret")
	f("not shown here", url, "--sk-secret")
	f("needs a value: --key", url, "--key")
	f("the rate must be above 0", url, "--rate=0")
	f("the rate must be above 0", url, "--rates=1,-1")
	f("--rate or --rates", url, "--rates=1,2", "--rate=3")
	f("a closed loop has no rate", url, "--closed")
	f("a closed loop has no rates", url, "--closed", "--rates=1,2")
	f("--max-ratio needs --against", url, "--max-ratio=2")
	f("needs --stream", url, "--max-gap-p99=1s")
	f("rounds", url, "--rounds=-1")
	f("connections", url, "--connections=0")
}

// TestBenchTakesItsKeyFromTheEnvironmentAndSaysItToNobodyElse: each target
// gets its own, and no output has one.
func TestBenchTakesItsKeyFromTheEnvironmentAndSaysItToNobodyElse(t *testing.T) {
	t.Parallel()
	server := func(key string, right *atomic.Int64) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer "+key {
				right.Add(1)
			}
			io.WriteString(w, benchAnswer)
		}))
	}
	var a, b atomic.Int64
	first, second := server("sk-first", &a), server("sk-second", &b)
	defer first.Close()
	defer second.Close()
	code, out, errOut := bench(t, map[string]string{"BENCH_KEY": "sk-first", "BENCH_AGAINST_KEY": "sk-second"},
		first.URL, "--against", second.URL, "--rounds=1", "--json=-")
	if code != exitOK || a.Load() != 5 || b.Load() != 5 {
		t.Errorf("exit code %d, %d and %d requests with their key: %s", code, a.Load(), b.Load(), errOut)
	}
	if !json.Valid([]byte(out)) || strings.Contains(out+errOut, "sk-") {
		t.Errorf("it said %s and %s", out, errOut)
	}
}

func TestBenchTrustsTheAuthorityThatItIsGiven(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, benchAnswer) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are the point
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(code int, said string, args ...string) {
		t.Helper()
		got, out, errOut := bench(t, nil, append(args, srv.URL)...)
		if got != code || !strings.Contains(out, said) {
			t.Errorf("%q: exit code %d, said %s%s", args, got, out, errOut)
		}
	}
	f(exitOK, "right", "--ca-file", ca)
	f(exitOK, "right", "--verify-ssl=false")
	f(exitError, "no connection: certificate not trusted")
}

// TestHelpNamesEveryFlagOnce: of the commands that have flags of their own.
func TestHelpNamesEveryFlagOnce(t *testing.T) {
	t.Parallel()
	f := func(page *helpPage, declare func(*flag.FlagSet)) {
		t.Helper()
		set := flag.NewFlagSet("", flag.ContinueOnError)
		declare(set)
		var b strings.Builder
		if err := page.print(&b, set); err != nil {
			t.Fatal(err)
		}
		set.VisitAll(func(g *flag.Flag) {
			if n := strings.Count(b.String(), "\n  --"+g.Name+" ") + strings.Count(b.String(), "\n  --"+g.Name+"\n"); n != 1 {
				t.Errorf("--%s stands there %d times in\n%s", g.Name, n, &b)
			}
		})
		for line := range strings.Lines(b.String()) {
			if len(line) > helpWidth+1 && !strings.HasPrefix(line, "  BENCH_KEY") && !strings.HasPrefix(line, "  llm-proxy") {
				t.Errorf("%d characters: %s", len(line), line)
			}
		}
	}
	f(&benchHelp, func(set *flag.FlagSet) { new(benchFlags).declare(set) })
	f(&mockHelp, func(set *flag.FlagSet) { declareMock(set, new(provider.Options)) })
}
