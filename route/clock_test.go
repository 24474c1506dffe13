package route

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"llmproxy/breaker"
	"llmproxy/metrics"
)

// R50: what is shown of a target goes by the clock by which it is judged. It once
// went by the wall clock: after a step of that, a target that rested was shown as
// half open, and one that was back as resting.
func TestShownStateAfterAClockStep(t *testing.T) {
	was := startedUnix
	t.Cleanup(func() { startedUnix = was })
	for _, step := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour, time.Hour, -time.Minute} {
		// The wall clock is stepped by the opposite, as seen from Now.
		startedUnix = was + int64(step)
		b := newTestBuilder()
		b.Breaker = breaker.Settings{BaseRest: 10 * time.Second}
		table := build(t, b, declare("a gpt-4=real"), nil)
		target, pass := table.Route([]byte("gpt-4")).Pick(0, &Tried{}, Now())
		for range 5 {
			target.Failed(pass, Now())
		}
		if got := target.State(); got != breaker.Open {
			t.Errorf("%v apart: left out, and shown as %v", step, got)
		}
		if got := shown(t, b.Metrics); got != "3" {
			t.Errorf("%v apart: left out, and the metric is %s", step, got)
		}
		// Its rest is over: the clock has gone on, the wall clock as well.
		startedUnix += int64(30 * time.Second)
		if got := target.State(); got != breaker.HalfOpen {
			t.Errorf("%v apart: after its rest it is shown as %v", step, got)
		}
	}
}

// shown is the value of the one circuit on the page.
func shown(t *testing.T, m *metrics.Registry) string {
	t.Helper()
	var page bytes.Buffer
	if _, err := m.WriteTo(&page); err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(page.String(), "\nllm_proxy_provider_circuit_state{")
	line, _, _ = strings.Cut(line, "\n")
	return line[strings.LastIndexByte(line, ' ')+1:]
}
