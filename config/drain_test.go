package config

import (
	"io"
	"testing"
	"time"
)

// TestDrainSettings: both are off unless asked for.
func TestDrainSettings(t *testing.T) {
	f := func(e env, delay time.Duration, reuse bool) {
		t.Helper()
		o, err := ParseOptions(nil, e.lookup, io.Discard)
		if err != nil || o.DrainDelay != delay || o.ReusePort != reuse {
			t.Errorf("%v: %+v, %v", e, o, err)
		}
	}
	f(env{}, 0, false)
	f(env{"DRAIN_DELAY_SECS": "5"}, 5*time.Second, false)
	f(env{"REUSE_PORT": "true"}, 0, true)
	if _, err := ParseOptions(nil, env{"DRAIN_DELAY_SECS": "-1"}.lookup, io.Discard); err == nil {
		t.Error("a negative delay is taken")
	}
}
