package upstream

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"
)

// Timeouts are the limits of one attempt; 0 is no limit.
type Timeouts struct {
	Connect    time.Duration // name lookup, TCP and TLS handshake together
	Write      time.Duration // the whole request
	FirstByte  time.Duration // from the request's last byte until the answer's head is in hand
	FirstEvent time.Duration // since Send began, while Await(FirstEvent); silence of FirstByte or Idle, the longer, ends that too
	Idle       time.Duration // of one read, while Await(Event) or Await(Body)
	Total      time.Duration // since Send began, the whole attempt, if Request.Stream is not set
	// StreamTotal is Total for requests with Stream set.
	StreamTotal time.Duration
}

// Counter is something that is counted, by any goroutine.
type Counter interface{ Inc() }

// Settings are what makes one Client different from another. They are
// comparable: a reload that finds equal settings keeps the Client.
type Settings struct {
	Name     string // of the provider, for errors of NewClient
	APIBase  string // where the paths hang: "https://api.openai.com/v1"
	APIKey   string // sent as "Authorization: Bearer"; empty sends none
	Timeouts Timeouts

	InsecureTLS bool           // any certificate will do
	RootCAs     *x509.CertPool // nil: the system's
	// AllowLinkLocal admits the addresses that guard.go refuses.
	AllowLinkLocal bool
	MaxConcurrency int64  // attempts between Send and Close; 0 is no limit
	MaxIdle        int    // connections kept for the next requests; more are closed; 0: 1024
	UserAgent      string // empty sends "llm-proxy"

	// Surplus counts the connections that were closed because there were MaxIdle;
	// nil counts nothing.
	Surplus Counter
}

// String shows where, never the key.
func (s Settings) String() string { return fmt.Sprintf("%s (%s)", s.Name, s.APIBase) }

// GoString keeps %#v from showing the key.
func (s Settings) GoString() string { return s.String() }

// LogValue keeps slog from showing the key.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }
