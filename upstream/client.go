package upstream

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Client is one provider: where it is, what it knows us by, and its connections.
// Everything in it may be used by many goroutines.
type Client struct {
	settings Settings
	target   target
	head     []byte // the header lines that every request to this provider begins with
	dialer   net.Dialer
	tls      *tls.Config // nil: plain HTTP

	pool pool

	room      room
	lingering atomic.Int64 // connections that wait for the end of an answer nobody reads any more
	counters  counters
}

// counters only grow.
type counters struct {
	dials, reuses, stale, repeats, lingered atomic.Int64
}

// Stats is what a Client did so far.
type Stats struct {
	Dials    int64 // connections opened, failed ones too
	Reuses   int64 // requests on a pooled connection
	Stale    int64 // pooled connections found dead or too old before use
	Repeats  int64 // requests sent again because a pooled connection died under them
	Lingered int64 // connections saved after a stream by waiting for its last chunk
	Idle     int64 // connections in the pool now
	Inflight int64 // attempts now
}

// NewClient makes the client of one provider. It does not dial.
func NewClient(s Settings) (*Client, error) {
	t, err := parseTarget(s.APIBase)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", s.Name, err)
	}
	head, err := headLines(s, t)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", s.Name, err)
	}
	c := &Client{settings: s, target: t, head: head, room: room{free: make(chan struct{}, 1)}}
	c.pool.most, c.pool.surplus = cmp.Or(s.MaxIdle, defaultMaxIdle), s.Surplus
	c.dialer = net.Dialer{
		// A peer that vanished without a word is noticed within a minute,
		// also where the operator switched the idle limit off.
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
		},
	}
	if !s.AllowLinkLocal {
		c.dialer.Control = guard
	}
	if t.secure {
		c.tls = tlsConfig(s, t)
	}
	return c, nil
}

// headLines are the lines that do not depend on the request.
func headLines(s Settings, t target) ([]byte, error) {
	agent := s.UserAgent
	if agent == "" {
		agent = "llm-proxy"
	}
	lines := "Host: " + t.name + "\r\nUser-Agent: " + agent + "\r\nAccept-Encoding: identity\r\n"
	if s.APIKey != "" {
		lines += "Authorization: Bearer " + s.APIKey + "\r\n"
	}
	if strings.Count(lines, "\n") != strings.Count(lines, "\r\n") || unprintable(s.APIKey) || unprintable(agent) {
		return nil, fmt.Errorf("api_key or user agent holds a character that no header may hold")
	}
	return []byte(lines), nil
}

func unprintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f }) >= 0
}

// Settings returns what the client was made of.
func (c *Client) Settings() Settings { return c.settings }

// Close closes the idle connections now and every other one when its attempt
// is closed. Attempts may still be sent; theirs are not kept.
func (c *Client) Close() { c.pool.close() }

// Stats counts what the client did.
func (c *Client) Stats() Stats {
	return Stats{
		Dials:    c.counters.dials.Load(),
		Reuses:   c.counters.reuses.Load(),
		Stale:    c.counters.stale.Load(),
		Repeats:  c.counters.repeats.Load(),
		Lingered: c.counters.lingered.Load(),
		Idle:     c.pool.idle(),
		Inflight: c.room.inflight.Load(),
	}
}
