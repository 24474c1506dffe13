package main

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// TestSuspended (R52): a gateway that stands still for longer than its limits,
// as in a machine that is moved or a laptop that sleeps, goes on as if nothing
// had been: what came meanwhile is in time, nothing is asked twice, nobody is
// cut off, and a rate limit gives no more than its burst.
func TestSuspended(t *testing.T) {
	t.Parallel()
	const stop, limit, each = 3 * time.Second, "2000", 15
	fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	fake.Handle(func(r *fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.Reply{Text: []string{"one", " two", " three", " four"}}.Answer(r)
		a.Delay, a.Gap = 300*time.Millisecond, 200*time.Millisecond // done long before the gateway goes on
		return a
	})
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{
		"FIRST_BYTE_TIMEOUT_MS": limit, "STREAM_IDLE_TIMEOUT_MS": limit, "OVERLOAD_DELAY_MS": "0",
	}})
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), "model_mapping": map[string]any{"steady": "m"}})
	key := g.Key(t)
	slow, _ := g.AddCredential(t, map[string]any{"name": "limited", "rate_limit": 2})
	load := newCrowd(g.URL)
	defer load.stop()

	var asking sync.WaitGroup
	ask := func(stream bool) {
		asking.Go(func() {
			if status, err := load.ask(key, "steady", stream); status != 200 || err != nil {
				t.Errorf("stream %v: %d %v", stream, status, err)
			}
		})
	}
	for i := range 2 * each {
		ask(i%2 == 0)
	}
	if !soon(func() bool { return fake.Count() == 2*each }) {
		t.Fatalf("the provider was asked %d times", fake.Count())
	}
	g.Signal(t, syscall.SIGSTOP)
	for i := range each {
		ask(i%2 == 0) // these wait in the kernel
	}
	<-time.After(stop)
	g.Signal(t, syscall.SIGCONT)
	asking.Wait()
	if got := fake.Count(); got != 3*each {
		t.Errorf("%d requests were made of %d", got, 3*each)
	}

	admitted := 0
	for range 12 {
		if status, _ := g.Post(t, "/v1/chat/completions", slow, `{"model":"absent","messages":[]}`); status != http.StatusTooManyRequests {
			admitted++
		}
	}
	if admitted > 2+2 { // the burst, and what a slow machine's second brings
		t.Errorf("a limit of 2 a second gave %d at once", admitted)
	}
	if text := g.Output(); strings.Contains(text, `"level":"ERROR"`) {
		t.Errorf("it complains:\n%s", text)
	}
}
