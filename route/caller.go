package route

import (
	"encoding/hex"
	"fmt"
	"strings"

	"llmproxy/budget"
	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
)

// Caller is a client key and what it may do. It is immutable but for its
// limits, which all Tables that know the key share.
type Caller struct {
	ID     int64
	Name   string
	Label  metrics.Label
	Bucket *ratelimit.Bucket // nil is unlimited
	Seats  *ratelimit.Seats  // nil is unlimited
	Limits *metrics.KeyLimits

	tokens  *ratelimit.Allowance // nil is unlimited
	purse   *budget.Purse        // nil is unlimited
	typical *ratelimit.Typical   // of answers; nil where nothing is limited by it
	expires int64                // unix nanoseconds; 0 is never

	allowed models // route is nil: only the names matter
	all     bool
}

// Allows reports whether the caller may use the model of that public name.
func (c *Caller) Allows(public []byte) bool {
	return c.all || c.allowed.find(public) != nil
}

// AllowsAll reports whether the caller may use every model.
func (c *Caller) AllowsAll() bool { return c.all }

// Expired reports whether the key is no longer good at now, in unix nanoseconds.
func (c *Caller) Expired(now int64) bool { return c.expires != 0 && now >= c.expires }

// newCaller compiles a credential. The bucket is the one that the key already
// has, if it has one.
func (b *Builder) newCaller(c *config.Credential) (*Caller, [32]byte, error) {
	var hash [32]byte
	if n, err := hex.Decode(hash[:], []byte(c.Hash)); err != nil || n != len(hash) {
		return nil, hash, fmt.Errorf("credential %q: credential_key is not the hex SHA-256 of a key", c.Name)
	}
	label := b.Metrics.Label(c.Name)
	caller := &Caller{
		ID: c.ID, Name: c.Name, Label: label, all: len(c.AllowedModels) == 0,
	}
	b.limit(caller, c)
	caller.allowed = newModels()
	for _, name := range c.AllowedModels {
		caller.all = caller.all || name == "*"
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			caller.allowed.prefix[prefix] = &Route{}
		} else {
			caller.allowed.exact[name] = &Route{}
		}
	}
	caller.allowed.index()
	return caller, hash, nil
}
