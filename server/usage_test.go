package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/budget"
	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// ledger is a ledger in memory: each key has used as many requests as its id.
type ledger struct {
	mu  sync.Mutex // guards what follows
	ids []int64    // whom it was asked about
	err error
}

func (l *ledger) OfKey(_ context.Context, id int64, now time.Time) (server.KeyUsage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
	used := server.Figures{Requests: id, Prompt: 10 * id, Cost: config.USD(id)}
	return server.KeyUsage{
		Today: server.Used{From: config.PeriodDay.Since(now), Figures: used}, Month: server.Used{From: config.PeriodMonth.Since(now), Figures: used},
		Models: []server.ModelUsed{{Model: fmt.Sprint("model-of-", id), Figures: used}},
	}, l.err
}

func (l *ledger) asked() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]int64(nil), l.ids...)
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

const ofUsage = "/v1/usage"

// A key is told what it has used, and what it may.
func TestUsageOfAKey(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	c := &set.Credentials[0]
	perMinute, atOnce, money := int64(1000), int64(9), 5*config.OneUSD
	c.TPMLimit, c.MaxConcurrency, c.Budget, c.BudgetPeriod = &perMinute, &atOnce, &money, config.PeriodDay
	c.ExpiresAt = time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)
	set.Credentials[1].Budget, set.Credentials[1].BudgetPeriod = &money, config.PeriodTotal
	r := start(t, set, func(_ *server.Options, b *route.Builder) { b.Purses = budget.NewPurses() })

	got := r.get(ofUsage)
	now := time.Now()
	day := config.PeriodDay.Since(now).Format(time.RFC3339)
	for _, want := range []string{
		`"object":"usage","key_name":"tester","as_of":"`,
		`"month":{"from":"` + config.PeriodMonth.Since(now).Format(time.RFC3339) + `","requests":1,"errors":0,"prompt_tokens":10,"completion_tokens":0,"cached_tokens":0,"reasoning_tokens":0,"cost_usd":0.000001}`,
		`"models":[{"model":"model-of-1","requests":1,`,
		`"budget":{"limit_usd":5,"spent_usd":0,"period":"day","resets_at":"` + config.PeriodDay.Until(now).Format(time.RFC3339) + `"}`,
		`"limits":{"rate_limit":null,"tpm_limit":1000,"max_concurrency":9,"expires_at":"2100-01-02T03:04:05Z"}`,
	} {
		if got.status != 200 || !strings.Contains(string(got.body), want) && config.PeriodDay.Since(time.Now()).Format(time.RFC3339) == day {
			t.Errorf("%d %s\nlacks %s", got.status, got.body, want)
		}
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Error("it may be kept")
	}
	got = r.get(ofUsage, "Authorization: Bearer "+anotherKey)
	if want := `"budget":{"limit_usd":5,"spent_usd":0,"period":"total","resets_at":null}`; !strings.Contains(string(got.body), want) {
		t.Errorf("%s lacks %s", got.body, want)
	}
	got = r.get(ofUsage, "Authorization: Bearer "+restrictedKey)
	if want := `"budget":null,"limits":{"rate_limit":null,"tpm_limit":null,"max_concurrency":null,"expires_at":null}`; !strings.Contains(string(got.body), want) {
		t.Errorf("%s lacks %s", got.body, want)
	}
	if p.Count() != 0 {
		t.Error("a provider was asked")
	}
}

// S04: whatever a request says, the figures are those of the key it carries.
func TestUsageIsOfTheKeyThatAsks(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	f := func(id int64, key, query string, lines ...string) {
		t.Helper()
		got := r.get(ofUsage+query, append(lines, "Authorization: Bearer "+key)...)
		if got.status != 200 || strings.Count(string(got.body), "model-of-") != 1 || !strings.Contains(string(got.body), fmt.Sprintf(`"model-of-%d"`, id)) {
			t.Errorf("%s of %d: %d %s", query, id, got.status, got.body)
		}
	}
	for range 2 { // the second time from memory
		f(1, clientKey, "")
		f(2, anotherKey, "")
		for _, query := range []string{"?key=1", "?key_id=1&id=1&api_key_id=1", "?key_name=tester&name=tester&user=tester", "?key=" + clientKey, "?group_by=key&all=true", "?from=2020-01-01"} {
			f(2, anotherKey, query, "Api-Key: "+clientKey, "X-Api-Key: "+clientKey, "X-Key-Id: 1", "X-Forwarded-User: tester")
		}
	}
	for _, id := range r.ledger.asked() {
		if id != 1 && id != 2 {
			t.Errorf("the ledger was asked about %d", id)
		}
	}
}

// S08: it is for client keys alone, charged to their rate limit like every
// request, and no reason to ask the ledger more than once.
func TestUsageIsForClientKeys(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	for _, line := range []string{"Authorization", "Authorization: Bearer wrong", "Authorization: Bearer admin", "Authorization: Bearer " + disabledKey} {
		if got := r.get(ofUsage, line); got.status != 401 || !strings.Contains(string(got.body), `"invalid_api_key"`) {
			t.Errorf("with %s: %d %s", line, got.status, got.body)
		}
	}
	if n := len(r.ledger.asked()); n != 0 {
		t.Errorf("the ledger was asked %d times", n)
	}
	refused := 0
	for range 20 {
		if got := r.get(ofUsage, "Authorization: Bearer "+limitedKey); got.status == 429 && got.header.Get("Retry-After") != "" {
			refused++
		}
	}
	if n := len(r.ledger.asked()); refused == 0 || n > 20-refused {
		t.Errorf("%d of 20 are refused, the ledger was asked %d times", refused, n)
	}
}

// A ledger that is away costs the page, in OpenAI's shape, and nothing else.
func TestUsageOfALedgerThatIsAway(t *testing.T) {
	r := start(t, serves(fakeprovider.Start(t)))
	r.ledger.fail(errors.New("canary-of-the-database is away"))
	got := r.get(ofUsage)
	if got.status != 503 || !strings.Contains(string(got.body), `"code":"usage_unavailable"`) || strings.Contains(string(got.body), "canary") || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.post(chat, hello); got.status != 200 {
		t.Errorf("a request: %d %s", got.status, got.body)
	}
}

// What of a request's time was the gateway's is in its record: something, and
// not the provider's part.
func TestARecordKnowsTheOverhead(t *testing.T) {
	const thinking = 300 * time.Millisecond
	p := fakeprovider.Start(t)
	h, err := fakeprovider.ParseScript("delay=" + thinking.String())
	if err != nil {
		t.Fatal(err)
	}
	p.Handle(h)
	r := start(t, serves(p))
	for i, body := range []string{hello, strings.Replace(hello, "{", `{"stream":true,`, 1)} {
		if got := r.post(chat, body); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		rec := r.sink.wait(t, i+1)
		if rec.Overhead <= 0 || rec.Duration-rec.Overhead < thinking {
			t.Errorf("stream: %t: %v of %v was the gateway's, who waited %v", rec.Stream, rec.Overhead, rec.Duration, thinking)
		}
	}
}
