package provider

import (
	"errors"
	"math"
	"time"

	"github.com/valyala/fasthttp"
)

// Options say how a Provider answers. With Tokens alone it answers at once.
type Options struct {
	Model  string // that answers claim to be of
	Tokens int    // in an answer, if the request does not want fewer; at least 1
	Bytes  int    // of a whole answer's body, whatever its tokens; 0: as many as they take

	// Latency is what half of the requests wait at most before anything is
	// answered, LatencyP99 what 99 of 100 do: in between, and beyond, they
	// wait as a log-normal distribution says, as requests to models do. If
	// LatencyP99 is 0, all wait for Latency.
	Latency, LatencyP99 time.Duration

	// Interval is between two events of a stream, which have a token each; or
	// as many as TokensPerSecond makes of the interval, if both are given. If
	// only TokensPerSecond is, it sets the interval. Whole answers take the
	// time that their tokens take, too, at TokensPerSecond. All 0: at once.
	Interval        time.Duration
	TokensPerSecond float64

	Errors      float64 // the share of the requests that are refused, from 0 to 1
	ErrorStatus []int   // with one of these
	Stamp       Stamp

	// Rest answers what is no chat request; nil: everything is one.
	Rest fasthttp.RequestHandler
}

// Stamp is where the events of a stream say when they were sent: sent_ns, in
// nanoseconds since 1970.
type Stamp int

// Where the moment stands.
const (
	NoStamp   Stamp = iota
	InField         // a field of the event's object: "sent_ns":…
	InContent       // the text: it passes gateways that drop fields, too
)

// Set reads a Stamp's name: off, field or content.
func (s *Stamp) Set(name string) error {
	switch name {
	case "off":
		*s = NoStamp
	case "field":
		*s = InField
	case "content":
		*s = InContent
	default:
		return errors.New("is one of off, field, content")
	}
	return nil
}

// String implements flag.Value.
func (s *Stamp) String() string { return [...]string{"off", "field", "content"}[*s] }

// Check reports what cannot be done.
func (o *Options) Check() error {
	switch {
	case o.Tokens < 1 || o.Tokens > 10_000_000:
		return errors.New("an answer has 1 to 10000000 tokens")
	case o.Bytes < 0 || o.Bytes > 1<<30:
		return errors.New("an answer has 1 GiB at most")
	case o.Latency < 0 || o.Interval < 0:
		return errors.New("times must not be negative")
	case o.LatencyP99 != 0 && (o.Latency == 0 || o.LatencyP99 < o.Latency):
		return errors.New("the latency of 99 of 100 must not be below that of half of them, which must be given")
	case !(o.TokensPerSecond >= 0) || o.TokensPerSecond > 1e6:
		return errors.New("there are 1000000 tokens a second at most")
	case !(o.Errors >= 0) || o.Errors > 1:
		return errors.New("the share of errors is from 0 to 1")
	case o.Errors > 0 && len(o.ErrorStatus) == 0:
		return errors.New("errors need a status")
	}
	for _, status := range o.ErrorStatus {
		if status < 400 || status > 599 {
			return errors.New("an error's status is from 400 to 599")
		}
	}
	return nil
}

// z99 is how many standard deviations the 99th percentile of a normal
// distribution lies above its middle.
const z99 = 2.3263478740408408

// latency is what a request waits, by a number of the standard normal
// distribution.
func (o *Options) latency(z float64) time.Duration {
	if o.LatencyP99 == 0 {
		return o.Latency
	}
	sigma := math.Log(float64(o.LatencyP99)/float64(o.Latency)) / z99
	return time.Duration(min(float64(o.Latency)*math.Exp(sigma*z), float64(longest)))
}

// longest bounds the tail of the distribution.
const longest = 10 * time.Minute

// spoken is how long the tokens of a whole answer take.
func (o *Options) spoken(tokens int) time.Duration {
	if o.TokensPerSecond == 0 {
		return 0
	}
	return time.Duration(float64(tokens) / o.TokensPerSecond * float64(time.Second))
}

// pace is the interval between two events of a stream, and how many tokens an
// event has.
func (o *Options) pace() (interval time.Duration, tokens int) {
	switch {
	case o.TokensPerSecond == 0:
		return o.Interval, 1
	case o.Interval == 0:
		return time.Duration(float64(time.Second) / o.TokensPerSecond), 1
	}
	return o.Interval, max(1, int(math.Round(o.TokensPerSecond*o.Interval.Seconds())))
}
