package config

import "time"

// Set is what the fleet serves: every provider, every client key and every
// price, as the store held them at one version.
//
// It is a value of declared things; route.Build compiles it. Whoever loads a
// Set owns it until it is given to route.Live, after that nobody changes it.
type Set struct {
	// Version counts the changes of the store's tables; it never falls.
	Version     int64
	Providers   []Provider
	Credentials []Credential
	Prices      []Price
}

// Provider is one upstream account: an address, a key, and what it serves.
type Provider struct {
	ID   int64
	Key  string // provider_key: the unique name in metrics, logs and headers
	Type string // provider_type: a label; every provider is spoken to in OpenAI's format
	// APIBase is where the paths hang: "https://api.openai.com/v1", no slash at the end.
	APIBase string
	APIKey  Secret // what the provider knows us by; empty sends no Authorization
	// ModelMapping maps public names to the provider's own. Empty serves every
	// model under the name asked. A key may end in one '*', which matches any
	// rest; a value may end in one '*' too, which stands for that rest.
	ModelMapping map[string]string
	Params       Params
	Weight       int // share of the traffic within its priority; 0 serves only when nothing else is left
	Priority     int // lower is asked first
	Enabled      bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Params are the provider_params: how one provider's calls differ from the
// process's defaults. A nil field takes the default, 0 switches off.
type Params struct {
	ConnectTimeoutMS    *int64 `json:"connect_timeout_ms,omitempty"`     // dial and TLS handshake
	WriteTimeoutMS      *int64 `json:"write_timeout_ms,omitempty"`       // the request, head and body
	FirstByteTimeoutMS  *int64 `json:"first_byte_timeout_ms,omitempty"`  // until the response head is in hand
	FirstEventTimeoutMS *int64 `json:"first_event_timeout_ms,omitempty"` // until a stream's first data event
	IdleTimeoutMS       *int64 `json:"idle_timeout_ms,omitempty"`        // between two reads of a body
	TotalTimeoutMS      *int64 `json:"total_timeout_ms,omitempty"`       // the whole attempt
	MaxConcurrency      *int64 `json:"max_concurrency,omitempty"`        // attempts at once; more spill to the next target
	// StreamRecovery is what is done about a stream that breaks off after its
	// first event; "" is RecoverNone.
	StreamRecovery Recovery `json:"stream_recovery,omitempty"`
	// HealthCheck has the provider asked now and then although no client does;
	// nil: it is known by the answers to clients alone.
	HealthCheck *HealthCheck `json:"health_check,omitempty"`
}

// HealthCheck is a request that is made at intervals to learn whether a
// provider works: GET of a path under api_base, or a completion of one token.
type HealthCheck struct {
	IntervalSecs int64  `json:"interval_secs"`
	Path         string `json:"path,omitempty"`  // "/models" if neither is set
	Model        string `json:"model,omitempty"` // by its public name; it costs tokens
}

// Recovery is what is done about a stream that breaks off after its first event.
type Recovery string

// The ways to recover.
const (
	RecoverNone   Recovery = "none"   // the client gets an error event
	RecoverSplice Recovery = "splice" // another target's answer goes on where this one broke off, if it begins with the same text
	RecoverHold   Recovery = "hold"   // nothing is sent before the whole stream is here, so another target can be asked
)

// ParseRecovery reads the name of a way to recover; ok is false for any other.
func ParseRecovery(name string) (r Recovery, ok bool) {
	switch r = Recovery(name); r {
	case RecoverNone, RecoverSplice, RecoverHold:
		return r, true
	}
	return "", false
}

// Credential is one client key and what it may do. The key itself is never here.
type Credential struct {
	ID            int64
	Hash          string   // hex SHA-256 of the key, lower case
	Preview       string   // "sk-ab…wxyz": enough to recognise, not to use
	Name          string   // who uses it; the api_key_name of metrics and logs
	AllowedModels []string // empty or "*" allows all; an entry may end in one '*'
	RateLimit     *int64   // requests per second; nil is unlimited, 0 refuses every request
	TPMLimit      *int64   // tokens per minute, of prompts and answers; nil is unlimited, 0 refuses every request
	Budget        *USD     // what may be spent in a BudgetPeriod; nil is unlimited, 0 refuses every request
	BudgetPeriod  Period
	// MaxConcurrency is how many requests may be under way at once on one
	// gateway; nil is unlimited, 0 refuses every request.
	MaxConcurrency *int64
	ExpiresAt      time.Time // from when on the key is refused; zero is never
	Enabled        bool
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Period is the time that a budget is for; "" is PeriodMonth.
type Period string

// The periods. Days and months are those of UTC.
const (
	PeriodDay   Period = "day"
	PeriodMonth Period = "month"
	PeriodTotal Period = "total"
)

// ParsePeriod reads the name of a period; ok is false for any other.
func ParsePeriod(name string) (p Period, ok bool) {
	switch p = Period(name); p {
	case PeriodDay, PeriodMonth, PeriodTotal:
		return p, true
	}
	return "", false
}

// Since returns when the period that at lies in began; the zero time for PeriodTotal.
func (p Period) Since(at time.Time) time.Time {
	year, month, day := at.UTC().Date()
	switch p {
	case PeriodDay:
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	case PeriodTotal:
		return time.Time{}
	}
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// Until returns when the period that at lies in ends; the zero time for PeriodTotal.
func (p Period) Until(at time.Time) time.Time {
	switch p {
	case PeriodDay:
		return p.Since(at).AddDate(0, 0, 1)
	case PeriodTotal:
		return time.Time{}
	}
	return p.Since(at).AddDate(0, 1, 0)
}
