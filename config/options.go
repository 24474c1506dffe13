package config

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"time"
)

// Options are the settings of one process. ParseOptions makes them; nobody
// else reads the environment. Secrets do not print, so Options may be logged.
type Options struct {
	Command string   // serve, migrate, mock, bench, check, health, version or help
	Args    []string // what follows the command and is no setting

	Host               string
	Port               int // 0: the system picks a free one
	TLSCertFile        string
	TLSKeyFile         string // set if TLSCertFile is
	ReadTimeout        time.Duration
	IdleTimeout        time.Duration
	ClientWriteTimeout time.Duration
	ReusePort          bool
	DrainDelay         time.Duration
	ShutdownGrace      time.Duration

	AdminAddr         string // host:port; empty: there is no listener for operators
	AdminOnPublicPort bool
	AdminPlainHTTP    bool

	DBURL      Secret // may hold a password; empty is the embedded store
	DataDir    string
	SecretKey  Secret
	ConfigPoll time.Duration

	AdminKey       Secret
	MetricsKey     Secret
	AllowAnonymous bool

	ProviderSuffix        string
	OpenAIAPIKey          Secret
	OpenAIBaseURL         string
	VerifySSL             bool
	CAFile                string
	AllowPrivateUpstreams bool

	RequestTimeout    time.Duration
	ConnectTimeout    time.Duration
	WriteTimeout      time.Duration
	FirstByteTimeout  time.Duration // RequestTimeout unless set
	FirstEventTimeout time.Duration
	StreamIdleTimeout time.Duration

	MaxBodyBytes          int64
	MaxHeaderBytes        int
	MaxHeaderLines        int
	MaxAnswerBytes        int64
	MaxEventBytes         int64
	MaxErrorBytes         int
	MaxCountedTextBytes   int
	MaxModelListBytes     int
	MaxIdleConnections    int
	MaxHealthModels       int
	MaxScrapes            int64
	ScrapeTimeout         time.Duration
	MaxConcurrentRequests int64
	MaxQueuedRequests     int64
	QueueTimeout          time.Duration
	OverloadDelay         time.Duration
	MaxAttempts           int
	RetryBudgetPercent    int64
	TokenWorkers          int // never 0
	TokenQueue            int

	BreakerConsecutive  int
	BreakerRatioPercent int
	BreakerMinRequests  int
	BreakerWindow       time.Duration
	BreakerMaxRest      time.Duration

	UsageLedger          bool
	UsageQueue           int
	UsageJournalMaxBytes int64
	UsageRetentionDays   int

	LogLevel        slog.Level
	LogFormat       string // json or text
	LogLines        int64  // a second
	LogQueue        int    // lines that may wait for their writer
	LogShare        float64
	SlowRequest     time.Duration // 0: none is slow
	MaxMetricSeries int

	Tracing Tracing
}

// setting is one line of the table: its name in the environment, what it is
// when not given, what it is for, and how its text is read.
type setting struct {
	env    string
	preset string // "" is read by nobody: the zero value, or what derive puts there
	help   string
	reader
}

type group struct {
	title    string
	settings []setting
}

// groups is where every setting is declared, on one line. The flags, the
// help and docs/settings.md are made from it. The limits are in limits.go.
func (o *Options) groups() []group {
	return []group{
		{"Listening", []setting{
			{"HOST", "127.0.0.1", "Address to listen on; 0.0.0.0 is every interface (the image sets it).", hostName(&o.Host)},
			{"PORT", "18000", "Port to listen on; 0 takes a free one.", number(&o.Port, 0, 65535)},
			{"TLS_CERT_FILE", "", "Certificate chain (PEM) to serve HTTPS with; read again when it changes.", text(&o.TLSCertFile)},
			{"TLS_KEY_FILE", "", "Private key (PEM) of the certificate.", text(&o.TLSKeyFile)},
			{"READ_TIMEOUT_SECS", "60", "A client has this long to send its whole request.", seconds(&o.ReadTimeout, 1)},
			{"IDLE_TIMEOUT_SECS", "75", "An idle client connection is closed after this long.", seconds(&o.IdleTimeout, 1)},
			{"CLIENT_WRITE_TIMEOUT_SECS", "30", "A client that takes nothing for this long is cut off.", seconds(&o.ClientWriteTimeout, 1)},
			{"REUSE_PORT", "false", "Let a second process of the same user listen on the port: for a restart without a gap.", boolean(&o.ReusePort)},
			{"DRAIN_DELAY_SECS", "0", "After SIGTERM it serves on for so long, not ready, before it drains: for load balancers that need time to notice.", seconds(&o.DrainDelay, 0)},
			{"SHUTDOWN_GRACE_SECS", "30", "Requests in flight have this long to end after SIGTERM.", seconds(&o.ShutdownGrace, 0)},
		}},
		{"Listener for operators (docs/operating.md)", o.operators()},
		{"Configuration store", []setting{
			{"DB_URL", "", "PostgreSQL that holds providers and keys (postgresql://...); without it an embedded SQLite file does.", dbURL(&o.DBURL)},
			{"DATA_DIR", "./data", "Directory of the embedded store and of the last good configuration.", text(&o.DataDir)},
			{"SECRET_KEY", "", "Encrypts the providers' keys at rest; at least 16 characters.", secret(&o.SecretKey, 16)},
			{"CONFIG_POLL_SECS", "2", "The store's version is looked at this often.", seconds(&o.ConfigPoll, 1)},
		}},
		{"Access", []setting{
			{"ADMIN_KEY", "", "Opens the Admin API; at least 8 characters. Without it the API is off (the embedded store makes one).", headerKey(&o.AdminKey, 8)},
			{"METRICS_KEY", "", "Asked for by /metrics when set; at least 8 characters.", headerKey(&o.MetricsKey, 8)},
			{"ALLOW_ANONYMOUS", "false", "Serve requests without a key while no credential is configured.", boolean(&o.AllowAnonymous)},
		}},
		{"Providers", []setting{
			{"PROVIDER_SUFFIX", "", "Prefix cut from model names: with Proxy, Proxy/gpt-4 is gpt-4.", prefix(&o.ProviderSuffix)},
			{"OPENAI_API_KEY", "", "With an empty embedded store: the key of a first provider.", headerKey(&o.OpenAIAPIKey, 1)},
			{"OPENAI_BASE_URL", "https://api.openai.com/v1", "The address of that first provider.", apiBase(&o.OpenAIBaseURL)},
			{"VERIFY_SSL", "true", "Check the providers' certificates.", boolean(&o.VerifySSL)},
			{"CA_FILE", "", "Further root certificates (PEM) to trust for providers.", text(&o.CAFile)},
			{"ALLOW_PRIVATE_UPSTREAMS", "false", "Allow providers at link-local and cloud-metadata addresses.", boolean(&o.AllowPrivateUpstreams)},
		}},
		{"Timeouts of providers (0: none; provider_params overrule)", []setting{
			{"REQUEST_TIMEOUT_SECS", "300", "A whole call that does not stream.", seconds(&o.RequestTimeout, 0)},
			{"CONNECT_TIMEOUT_MS", "5000", "Dial and TLS handshake.", millis(&o.ConnectTimeout)},
			{"WRITE_TIMEOUT_MS", "30000", "Sending the request.", millis(&o.WriteTimeout)},
			{"FIRST_BYTE_TIMEOUT_MS", "", "Until the answer's head is there (default: REQUEST_TIMEOUT_SECS).", millis(&o.FirstByteTimeout)},
			{"FIRST_EVENT_TIMEOUT_MS", "0", "Until a stream's first event: reasoning models think for minutes.", millis(&o.FirstEventTimeout)},
			{"STREAM_IDLE_TIMEOUT_MS", "120000", "Between two events of a stream.", millis(&o.StreamIdleTimeout)},
		}},
		{"Limits", o.limits()},
		{"When a provider is left out", []setting{
			{"BREAKER_CONSECUTIVE", "5", "Failures in a row, or streams broken off in a row, after which a provider's model rests.", number(&o.BreakerConsecutive, 1, 30_000)},
			{"BREAKER_RATIO_PERCENT", "50", "It rests as well when this many percent of its last requests failed.", number(&o.BreakerRatioPercent, 1, 100)},
			{"BREAKER_MIN_REQUESTS", "20", "But not before there were this many of them.", number(&o.BreakerMinRequests, 1, 1_000_000)},
			{"BREAKER_WINDOW_SECS", "10", "Its last requests are those of this time.", seconds(&o.BreakerWindow, 1)},
			{"BREAKER_MAX_REST_SECS", "30", "It rests for a second, twice as long after each failed try, at most this long.", seconds(&o.BreakerMaxRest, 1)},
		}},
		{"Usage ledger (docs/usage.md)", []setting{
			{"USAGE_LEDGER", "on", "Write a record of every request into the database: who asked, who answered, tokens, times.", boolean(&o.UsageLedger)},
			{"USAGE_QUEUE", "65536", "Records that may wait in memory for the disk; more are dropped and counted.", number(&o.UsageQueue, 1024, 10_000_000)},
			{"USAGE_JOURNAL_MAX_BYTES", "1GiB", "Records that wait in DATA_DIR/usage for the database take this much at most; newer ones are dropped and counted.", size(&o.UsageJournalMaxBytes, 1<<20, 1<<40)},
			{"USAGE_RETENTION_DAYS", "30", "Records older than this are removed; sums by the hour and day stay for 400 days.", number(&o.UsageRetentionDays, 1, 400)},
		}},
		{"Logs and metrics", []setting{
			{"LOG_LEVEL", "info", "debug, info, warn or error; read again at SIGHUP.", logLevel(&o.LogLevel)},
			{"LOG_FORMAT", "json", "json or text.", choice(&o.LogFormat, "json", "text")},
			{"MAX_LOG_LINES", "20", "Warnings of one kind per second; the next line says how many were left out.", number(&o.LogLines, 1, 1_000_000)},
			{"LOG_REQUEST_SAMPLE", "0", "Share of the requests that get a line at info, from 0 to 1. Those that fail always get one.", share(&o.LogShare)},
			{"SLOW_REQUEST_MS", "0", "A request that takes longer, streams to their end, gets a line as a warning. 0: none does.", millis(&o.SlowRequest)},
			{"LOG_QUEUE", "4096", "Log lines that may wait for who reads them; more are dropped and counted. Requests never wait.", number(&o.LogQueue, 16, 1_000_000)},
			{"MAX_METRIC_SERIES", "100000", "Most time series of models, providers and keys together; further ones are counted under other.", number(&o.MaxMetricSeries, 100, 10_000_000)},
		}},
		{"Traces (docs/tracing.md)", o.tracing()},
	}
}

// ParseOptions makes the Options of arguments and environment. A flag wins
// over the environment, both over the default; an empty value is the default.
//
// The error is Problems with every fault at once, none of which repeats a
// value. For -h and --help the help is written to help and the Command is
// "help".
func ParseOptions(args []string, lookup func(string) (string, bool), help io.Writer) (*Options, error) {
	o := &Options{FirstByteTimeout: notSet}
	groups := o.groups()
	given := parseArguments(args, groups)
	if given.help {
		writeHelp(help, groups)
		return &Options{Command: "help"}, nil
	}
	o.Command, o.Args = given.command, given.args

	problems := given.problems
	for _, g := range groups {
		for _, s := range g.settings {
			field, fault := s.fill(given.flags, lookup)
			problems.add(field, fault)
		}
	}
	problems = append(problems, o.check()...)
	if o.Command == "version" {
		return o, nil // asked for when nothing else works
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	o.derive()
	return o, nil
}

// fill reads the setting from the first place that has it. It answers with
// the name under which it was given there and what is wrong with the value.
func (s setting) fill(flags map[string]string, lookup func(string) (string, bool)) (field, fault string) {
	if s.preset != "" {
		if fault := s.read(s.preset); fault != "" {
			panic("BUG: default of " + s.env + ": " + fault)
		}
	}
	field = s.env
	value, ok := flags[s.env]
	if ok {
		field = s.flag()
	} else {
		value, _ = lookup(s.env)
	}
	// Files and shells leave line ends behind.
	if value = strings.TrimSpace(value); value == "" {
		return field, ""
	}
	return field, s.read(value)
}

// check finds what is wrong between settings.
func (o *Options) check() Problems {
	var problems Problems
	if o.TLSCertFile != "" && o.TLSKeyFile == "" {
		problems.add("TLS_KEY_FILE", "must be set when TLS_CERT_FILE is")
	}
	if o.TLSKeyFile != "" && o.TLSCertFile == "" {
		problems.add("TLS_CERT_FILE", "must be set when TLS_KEY_FILE is")
	}
	problems = append(problems, o.checkOperators()...)
	return append(problems, o.Tracing.check()...)
}

// notSet marks a duration whose 0 means something.
const notSet = time.Duration(-1)

// derive puts in the defaults that depend on others.
func (o *Options) derive() {
	if o.FirstByteTimeout == notSet {
		o.FirstByteTimeout = o.RequestTimeout
	}
	if o.TokenWorkers == 0 {
		o.TokenWorkers = max(1, runtime.GOMAXPROCS(0)/2)
	}
}
