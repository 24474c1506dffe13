package server_test

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
)

// S17: of twenty requests at once one comes in at one a second, and one more
// for each second that they take; the others are told when to come back.
func TestTwentyAtOnceAtOneASecond(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	began := time.Now()
	var admitted int
	for range 20 {
		got := r.post(chat, hello, "Authorization: Bearer "+limitedKey)
		if got.status == 200 {
			admitted++
			continue
		}
		wait, err := strconv.Atoi(got.header.Get("Retry-After"))
		if got.status != 429 || got.code(t) != "rate_limit_exceeded" || err != nil || wait < 1 || wait > 1 {
			t.Errorf("%d, Retry-After %q: %s", got.status, got.header.Get("Retry-After"), got.body)
		}
	}
	if most := 1 + int(time.Since(began)/time.Second) + 1; admitted < 1 || admitted > most {
		t.Errorf("%d of 20 came in within %v", admitted, time.Since(began))
	}
	if p.Count() != admitted {
		t.Errorf("the provider was asked %d times for %d requests", p.Count(), admitted)
	}
}

// S18: however many connections a key comes over at the same moment, and
// however its configuration is reloaded meanwhile, it never gets more than its
// burst and what time has brought; and that it gets. S17: the sum is exact to
// one burst.
func TestLimitHoldsForACrowd(t *testing.T) {
	const rate, crowd = 20, 32
	p := fakeprovider.Start(t)
	set := serves(p)
	limit := int64(rate)
	hurried := credential(6, "sk-canary-hurried-0123456789", "hurried")
	hurried.RateLimit = &limit
	set.Credentials = append(set.Credentials, hurried)
	r := start(t, set)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: crowd}}
	defer client.CloseIdleConnections()
	var admitted, refused, other atomic.Int64
	ask := func() {
		q := r.request("POST", chat, hello, "Authorization: Bearer sk-canary-hurried-0123456789")
		resp, err := client.Do(q)
		if err != nil {
			other.Add(1)
			return
		}
		resp.Body.Close()
		switch resp.StatusCode {
		case 200:
			admitted.Add(1)
		case 429:
			refused.Add(1)
		default:
			other.Add(1)
		}
	}
	var crowded sync.WaitGroup
	gate := make(chan struct{})
	const lasts = 1500 * time.Millisecond // two bursts fall into it, the second with half a second to spare
	var began time.Time
	for range crowd {
		crowded.Go(func() {
			<-gate
			for time.Since(began) < lasts {
				ask()
			}
		})
	}
	began = time.Now()
	close(gate)
	for i := range 5 {
		reloaded(t, r, set, int64(i+2))
	}
	crowded.Wait()
	took := time.Since(began)

	most := rate + int64(took.Seconds()*rate) + 1
	least := int64(2 * rate)
	if n := admitted.Load(); n > most || n < least {
		t.Errorf("%d came in within %v, want %d to %d", n, took, least, most)
	}
	if other.Load() != 0 || refused.Load() == 0 || int64(p.Count()) != admitted.Load() {
		t.Errorf("%d refused, %d failed; the provider was asked %d times for %d", refused.Load(), other.Load(), p.Count(), admitted.Load())
	}
	t.Logf("%d came in and %d were refused within %v", admitted.Load(), refused.Load(), took)
}

// reloaded serves the set again under another version.
func reloaded(t *testing.T, r *rig, set *config.Set, version int64) {
	t.Helper()
	again := *set
	again.Version = version
	r.source.set.Store(&again)
	if _, err := r.live.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}
