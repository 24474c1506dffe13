package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// env is an environment for lookup.
type env map[string]string

func (e env) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

func mustParse(t *testing.T, e env, args ...string) *Options {
	t.Helper()
	o, err := ParseOptions(args, e.lookup, io.Discard)
	if err != nil {
		t.Fatalf("ParseOptions(%q, %v): %v", args, e, err)
	}
	return o
}

func TestDefaults(t *testing.T) {
	want := &Options{
		Command: "serve", Host: "127.0.0.1", Port: 18000,
		ReadTimeout: time.Minute, IdleTimeout: 75 * time.Second, ClientWriteTimeout: 30 * time.Second, ShutdownGrace: 30 * time.Second,
		DataDir: "./data", ConfigPoll: 2 * time.Second,
		OpenAIBaseURL: "https://api.openai.com/v1", VerifySSL: true,
		RequestTimeout: 5 * time.Minute, ConnectTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
		FirstByteTimeout: 5 * time.Minute, StreamIdleTimeout: 2 * time.Minute,
		MaxBodyBytes: 32 << 20, MaxHeaderBytes: 16 << 10, MaxAnswerBytes: 4 << 20, MaxAttempts: 3, RetryBudgetPercent: 20, MaxEventBytes: 8 << 20,
		MaxHeaderLines: 128, MaxErrorBytes: 256 << 10, MaxCountedTextBytes: 1 << 20, MaxModelListBytes: 4 << 20,
		MaxIdleConnections: 1024, MaxHealthModels: 10, MaxScrapes: 8, ScrapeTimeout: 30 * time.Second,
		MaxQueuedRequests: 256, QueueTimeout: 200 * time.Millisecond, OverloadDelay: 100 * time.Millisecond,
		TokenWorkers: max(1, runtime.GOMAXPROCS(0)/2), TokenQueue: 1024,
		BreakerConsecutive: 5, BreakerRatioPercent: 50, BreakerMinRequests: 20, BreakerWindow: 10 * time.Second, BreakerMaxRest: 30 * time.Second,
		UsageLedger: true, UsageQueue: 65536, UsageJournalMaxBytes: 1 << 30, UsageRetentionDays: 30,
		LogLevel: slog.LevelInfo, LogFormat: "json", LogLines: 20, LogQueue: 4096, MaxMetricSeries: 100000,
		Tracing: Tracing{
			Protocol: "http/protobuf", Exporter: "otlp", ServiceName: "llm-proxy",
			SamplerName: "parentbased_always_on", SamplerArg: "1", QueueSize: 2048,
		},
	}
	if got := mustParse(t, env{}); !reflect.DeepEqual(got, want) {
		t.Errorf("defaults are\n%+v, want\n%+v", got, want)
	}
	// What is empty is not given.
	if got := mustParse(t, env{"PORT": "", "ADMIN_KEY": "", "DB_URL": " "}, "--host="); !reflect.DeepEqual(got, want) {
		t.Errorf("with empty values\n%+v, want\n%+v", got, want)
	}
}

func TestWhereAValueComesFrom(t *testing.T) {
	f := func(e env, args []string, want string) {
		t.Helper()
		o := mustParse(t, e, args...)
		if got := fmt.Sprintf("%d %v %s", o.Port, o.AllowAnonymous, o.ProviderSuffix); got != want {
			t.Errorf("%v %q: %s, want %s", e, args, got, want)
		}
	}
	f(env{"PORT": "1", "ALLOW_ANONYMOUS": "true", "PROVIDER_SUFFIX": "Proxy"}, nil, "1 true Proxy")
	f(env{"PORT": "1"}, []string{"--port", "2"}, "2 false ")
	f(env{"PORT": "1"}, []string{"-port=2"}, "2 false ")
	f(env{"PORT": "1"}, []string{"--port=2", "--port=3"}, "3 false ")
	f(env{"PORT": "1"}, []string{"--port="}, "18000 false ")
	f(env{"PORT": " 1\r\n"}, nil, "1 false ")
	f(env{}, []string{"--allow-anonymous"}, "18000 true ")
	f(env{}, []string{"--allow-anonymous", "serve", "--port", "0"}, "0 true ")
	f(env{"ALLOW_ANONYMOUS": "1"}, []string{"--allow-anonymous", "false"}, "18000 false ")
	f(env{"ALLOW_ANONYMOUS": "yes"}, []string{"--allow-anonymous=off", "--provider-suffix", "A/B"}, "18000 false A/B")
}

func TestCommands(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		o := mustParse(t, env{}, strings.Fields(line)...)
		if got := fmt.Sprint(o.Command, o.Args); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
	f("", "serve[]")
	f("serve", "serve[]")
	f("--port 1 serve", "serve[]")
	f("migrate up", "migrate[up]")
	f("migrate --data-dir x down", "migrate[down]")
	f("migrate version", "migrate[version]")
	f("migrate force 3", "migrate[force 3]")
	f("migrate force -1", "migrate[force -1]")
	f("check", "check[]")
	f("health --port 1", "health[]")
	f("version", "version[]")
	f("--version", "version[]")
	f("mock", "mock[]")
	f("mock --port 1 --delay 5ms -v --help", "mock[--delay 5ms -v --help]")
	f("bench http://a --rate 5 --port 1 --help", "bench[http://a --rate 5 --help]")

	if o := mustParse(t, env{"PORT": "none"}, "version"); o.Command != "version" {
		t.Errorf("version does not work with bad settings: %+v", o)
	}
}

func TestBadSettingsAreAllReported(t *testing.T) {
	f := func(e env, line string, want ...string) {
		t.Helper()
		o, err := ParseOptions(strings.Fields(line), e.lookup, io.Discard)
		var got Problems
		if !errors.As(err, &got) || o != nil {
			t.Errorf("%v %q: %+v, %v, want Problems", e, line, o, err)
			return
		}
		if strings.Join(fields(got), " ") != strings.Join(want, " ") {
			t.Errorf("%v %q: problems %q, want %q", e, line, got, want)
		}
	}
	f(env{"PORT": "70000", "ADMIN_KEY": "short", "SECRET_KEY": "fifteen letters", "LOG_LEVEL": "loud", "MAX_BODY_BYTES": "much"}, "--verify-ssl=maybe",
		"PORT", "SECRET_KEY", "ADMIN_KEY", "--verify-ssl", "MAX_BODY_BYTES", "LOG_LEVEL")
	f(env{"PORT": "-1"}, "", "PORT")
	f(env{"PORT": "1e3"}, "", "PORT")
	f(env{"HOST": "127.0.0.1:80"}, "", "HOST")
	f(env{"DB_URL": "mysql://x"}, "", "DB_URL")
	f(env{"DB_URL": "host=x password=y"}, "", "DB_URL")
	f(env{"TLS_CERT_FILE": "a.pem"}, "", "TLS_KEY_FILE")
	f(env{"TLS_KEY_FILE": "a.pem"}, "", "TLS_CERT_FILE")
	f(env{"METRICS_KEY": "with space"}, "", "METRICS_KEY")
	f(env{"ADMIN_KEY": "line\nbreak"}, "", "ADMIN_KEY")
	f(env{"OPENAI_BASE_URL": "ftp://x"}, "", "OPENAI_BASE_URL")
	f(env{"PROVIDER_SUFFIX": "Proxy/"}, "", "PROVIDER_SUFFIX")
	f(env{"REQUEST_TIMEOUT_SECS": "5m"}, "", "REQUEST_TIMEOUT_SECS")
	f(env{"CONFIG_POLL_SECS": "0"}, "", "CONFIG_POLL_SECS")
	f(env{"MAX_BODY_BYTES": "99999999999GiB"}, "", "MAX_BODY_BYTES")
	f(env{"MAX_EVENT_BYTES": "1"}, "", "MAX_EVENT_BYTES")
	f(env{"BREAKER_CONSECUTIVE": "0", "BREAKER_RATIO_PERCENT": "101", "BREAKER_MAX_REST_SECS": "0"}, "", "BREAKER_CONSECUTIVE", "BREAKER_RATIO_PERCENT", "BREAKER_MAX_REST_SECS")
	f(env{"MAX_QUEUED_REQUESTS": "100001", "QUEUE_TIMEOUT_MS": "-1", "OVERLOAD_DELAY_MS": "1s"}, "", "MAX_QUEUED_REQUESTS", "QUEUE_TIMEOUT_MS", "OVERLOAD_DELAY_MS")
	f(env{"TOKEN_WORKERS": "0"}, "", "TOKEN_WORKERS")
	f(env{}, "--port", "--port")
	f(env{}, "--prot 1 --foo --bar=2 serve", "--prot", "--foo", "--bar")
	f(env{}, "--prot=x check more", "--prot", "check")
	f(env{}, "migrate", "migrate")
	f(env{}, "migrate sideways", "migrate")
	f(env{}, "migrate force", "migrate")
	f(env{}, "migrate force x", "migrate")
	f(env{}, "severe", "command")
	f(env{}, "serve -- --port", "serve")
}

func TestUnknownFlagIsGuessed(t *testing.T) {
	_, err := ParseOptions([]string{"--prot", "1"}, env{}.lookup, io.Discard)
	if err == nil || err.Error() != "--prot: unknown; did you mean --port?" {
		t.Errorf("got %v", err)
	}
}

func TestSizes(t *testing.T) {
	f := func(text string, want int64, good bool) {
		t.Helper()
		if got, ok := parseSize(text); got != want || ok != good {
			t.Errorf("parseSize(%q) = %d, %v, want %d, %v", text, got, ok, want, good)
		}
	}
	f("0", 0, true)
	f("33554432", 32<<20, true)
	f("32MiB", 32<<20, true)
	f("32 mib", 32<<20, true)
	f("32MB", 32_000_000, true)
	f("1KiB", 1024, true)
	f("1kB", 1000, true)
	f("2GiB", 2<<30, true)
	f("7B", 7, true)
	f("32M", 0, false)
	f("-1", 0, false)
	f("1.5MiB", 0, false)
	f("MiB", 0, false)
	f("9223372036854775807KiB", 0, false)
}

func TestTimeoutThatIsSwitchedOffStaysOff(t *testing.T) {
	o := mustParse(t, env{"FIRST_BYTE_TIMEOUT_MS": "0", "REQUEST_TIMEOUT_SECS": "7"})
	if o.FirstByteTimeout != 0 {
		t.Errorf("first byte timeout %v, want none", o.FirstByteTimeout)
	}
	o = mustParse(t, env{"REQUEST_TIMEOUT_SECS": "7"})
	if o.FirstByteTimeout != 7*time.Second {
		t.Errorf("first byte timeout %v, want the request's 7s", o.FirstByteTimeout)
	}
}

func TestHelp(t *testing.T) {
	for _, line := range []string{"-h", "--help", "serve --help", "migrate -h", "--prot --help"} {
		var help bytes.Buffer
		o, err := ParseOptions(strings.Fields(line), env{"ADMIN_KEY": "CANARY-1234", "PORT": "bad"}.lookup, &help)
		if err != nil || o.Command != "help" {
			t.Errorf("%q: %+v, %v, want help", line, o, err)
		}
		for _, want := range []string{"Usage: llm-proxy", "migrate up|down|version|force N", "MAX_BODY_BYTES", "32MiB", "PROVIDER_SUFFIX"} {
			if !strings.Contains(help.String(), want) {
				t.Errorf("%q: help lacks %q", line, want)
			}
		}
		if strings.Contains(help.String(), "CANARY") {
			t.Errorf("%q: help shows a value of the environment", line)
		}
	}
}

// TestOptionsNeverTell plants a secret in every place of a command line and
// of the environment: no error, no help and no printed Options may show it.
func TestOptionsNeverTell(t *testing.T) {
	const canary = "CANARY-sk-2718281828"
	var names []string
	for _, g := range new(Options).groups() {
		for _, s := range g.settings {
			names = append(names, s.env)
		}
	}
	secrets := map[string]bool{"DB_URL": true, "SECRET_KEY": true, "ADMIN_KEY": true, "METRICS_KEY": true, "OPENAI_API_KEY": true}
	open := func(name string) bool { // what is no secret may be printed once it is accepted
		return !secrets[name]
	}
	rapid.Check(t, func(t *rapid.T) {
		e, shown := env{}, false
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "names") {
			e[name] = rapid.SampledFrom([]string{"", "postgresql://u:", "http://", "\x00", " "}).Draw(t, "before") + canary
			shown = shown || open(name)
		}
		args := rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]string{canary, "-" + canary, "--" + canary, "--admin-kye=" + canary, "--admin-kye", "--admin-key", "--admin-key=" + canary, "--port=" + canary, "--help", "migrate", "mock", "--"}),
		)).Draw(t, "args")
		var help bytes.Buffer
		o, err := ParseOptions(args, e.lookup, &help)
		if err == nil && !shown && len(o.Args) == 0 {
			if text := fmt.Sprintf("%v %+v %#v", o, o, o); strings.Contains(text, canary) {
				t.Fatalf("options show it: %s", text)
			}
		}
		if err != nil && strings.Contains(err.Error(), canary) || strings.Contains(help.String(), canary) {
			t.Fatalf("%v %q: told: %v %s", e, args, err, &help)
		}
	})
}

// TestEveryFaultIsReported breaks any choice of settings: exactly these are
// reported.
func TestEveryFaultIsReported(t *testing.T) {
	bad := map[string]string{"PORT": "x", "HOST": "a b", "MAX_BODY_BYTES": "x", "LOG_FORMAT": "x", "ADMIN_KEY": "x", "DB_URL": "x", "VERIFY_SSL": "x", "CONNECT_TIMEOUT_MS": "x"}
	names := make([]string, 0, len(bad))
	for name := range bad {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		e, want := env{}, map[string]bool{}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "bad") {
			e[name], want[name] = bad[name], true
		}
		_, err := ParseOptions(nil, e.lookup, io.Discard)
		var problems Problems
		errors.As(err, &problems)
		got := map[string]bool{}
		for _, p := range problems {
			got[p.Field] = true
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("reported %v, want %v", got, want)
		}
	})
}
