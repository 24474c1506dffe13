package config

import "time"

// Set is what the fleet serves: every provider and every client key, as the
// store held them at one version.
//
// It is a value of declared things; route.Build compiles it. Whoever loads a
// Set owns it until it is given to route.Live, after that nobody changes it.
type Set struct {
	// Version counts the changes of the store's tables; it never falls.
	Version     int64
	Providers   []Provider
	Credentials []Credential
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
	Enabled       bool
	CreatedAt     time.Time
	UpdatedAt     time.Time
}
