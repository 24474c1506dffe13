package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/overload"
	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/server"
	"llmproxy/usage"
)

var (
	settledRequests = flag.Int("settled", 150, "how many requests TestSettledIsAdmitted draws")
	settledSeed     = flag.Int("settled-seed", 0, "draw the requests of this seed; 0 draws a seed")
)

// Every admitted request leaves one record, whatever its end, refused ones
// none; the metrics are the sums of the records; tokens are what the provider
// whose answer the client got said, or else what it sent; money is that at the
// prices of the request's table; and nothing stays held (contract 4).
//
// What is billed: the answer that the client got. Attempts that failed bill
// nothing, a held stream's broken ones neither. A spliced answer is the last
// provider's, which has told all of it. A cut one is billed as far as it came.
//
// A long one is go test ./server -run TestSettledIsAdmitted -settled 10000.
func TestSettledIsAdmitted(t *testing.T) {
	seed := *settledSeed
	if seed == 0 {
		seed = rand.IntN(math.MaxInt32)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("drawn from -settled-seed %d", seed)
		}
	})
	s := startSettled(t)
	draw := plans()
	for n := range *settledRequests {
		s.plans = append(s.plans, draw.Example(seed+n))
	}
	for range settledLast {
		s.plans = append(s.plans, &plan{Path: chat, Stream: true, N: 1, Key: clientKey, Leave: -1, Words: 4, Turns: []turn{{Ending: "silence", After: 3}}})
	}
	for n, p := range s.plans {
		p.ID = n
	}
	s.heard = make([]received, len(s.plans))
	s.askAll()
	s.drain()
	s.checkRecords()
	s.checkMetrics()
	s.checkNothingHeld()
}

// settledLast are in flight when the gateway is stopped, settledClients ask at
// the same time, settledReload requests lie between two reloads.
const (
	settledLast    = 6
	settledClients = 12
	settledReload  = 15
)

// settled is a run of TestSettledIsAdmitted.
type settled struct {
	*rig
	buckets *ratelimit.Buckets
	limiter *overload.Limiter
	plans   []*plan
	heard   []received

	announced, served atomic.Int64 // versions of the configuration: the newest, and the one in service
}

func startSettled(t *testing.T) *settled {
	s := &settled{limiter: overload.New(overload.Options{MaxConcurrent: 10, MaxQueued: 2, QueueTimeout: 30 * time.Millisecond})}
	t.Cleanup(s.limiter.Close)
	a, b := fakeprovider.Start(t), fakeprovider.Start(t)
	s.answerFrom("a", a)
	s.answerFrom("b", b)
	set := serves(a, b)
	s.change(set, 1)
	s.announced.Store(1)
	s.served.Store(1)
	s.rig = start(t, set, withPurses, func(o *server.Options, b *route.Builder) {
		o.Limiter, o.MaxLogLines, o.RetryBudget = s.limiter, math.MaxInt64, 100
		o.MaxAnswerBytes = 1200 // longer than any whole answer here; held streams are let go there
		b.Client.Timeouts.FirstByte, b.Client.Timeouts.Idle = 300*time.Millisecond, 300*time.Millisecond
		b.Breaker.BaseRest, b.Breaker.MaxRest, b.Breaker.AuthRest, b.Breaker.MaxAuthRest = 5*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond, 20*time.Millisecond
		s.buckets = b.Buckets
	})
	return s
}

// answerFrom has the provider do what the request's plan says.
func (s *settled) answerFrom(name string, p *fakeprovider.Provider) {
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		user, _ := q.JSON()["user"].(string)
		n, err := strconv.Atoi(user)
		if err != nil {
			return fakeprovider.Fail(500, "unknown", "not of this test")
		}
		plan := s.plans[n]
		plan.seen(s.announced.Load())
		return plan.answer(name, q)
	})
}

// seen notes that the request has its table, which is none after version.
func (p *plan) seen(version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.versions[1] == 0 {
		p.versions[1] = version
	}
}

// change makes the set another version's: prices, what the providers do about
// broken streams, who is asked first, and what the keys may use. The second
// key's limits are never met, the third's often.
func (s *settled) change(set *config.Set, version int64) {
	set.Version = version
	set.Prices = []config.Price{settledPrice("a", version), settledPrice("b", version)}
	recoveries := []config.Recovery{config.RecoverNone, config.RecoverSplice, config.RecoverHold}
	for i := range set.Providers {
		set.Providers[i].Priority = int(version+int64(i)) % 3 / 2
		set.Providers[i].Params.StreamRecovery = recoveries[(version+int64(i))%3]
	}
	limit := func(c *config.Credential, tokens, atOnce int64, dollars config.USD) {
		c.RateLimit, c.TPMLimit, c.MaxConcurrency, c.Budget, c.BudgetPeriod = nil, &tokens, &atOnce, &dollars, config.PeriodTotal
	}
	limit(&set.Credentials[1], ratelimit.MaxTokens-version, 1000+version, 1_000_000*config.OneUSD+config.USD(version))
	limit(&set.Credentials[2], []int64{20_000, 600, 5_000}[version%3], 1+version%2, config.USD(3_000*version))
}

// reload serves the next version.
func (s *settled) reload() {
	old := s.source.set.Load()
	next := &config.Set{Credentials: slices.Clone(old.Credentials), Providers: slices.Clone(old.Providers)}
	version := s.announced.Add(1)
	s.change(next, version)
	s.source.set.Store(next)
	if _, err := s.live.Reload(context.Background()); err != nil {
		s.t.Error(err)
	}
	s.served.Store(version)
}

// askAll has the clients make all requests but the last, with reloads between them.
func (s *settled) askAll() {
	turns := make(chan *plan)
	var clients sync.WaitGroup
	for range settledClients {
		clients.Go(func() {
			for p := range turns {
				s.ask(p)
			}
		})
	}
	for n, p := range s.plans[:len(s.plans)-settledLast] {
		if n%settledReload == settledReload-1 {
			s.reload()
		}
		turns <- p
	}
	close(turns)
	clients.Wait()
}

var settledHTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask makes a request, and leaves when it is to.
func (s *settled) ask(p *plan) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.versions[0] = s.served.Load()
	h := &s.heard[p.ID]
	defer func() {
		h.left = ctx.Err() != nil
		if !h.left { // or else it may still be on its way
			p.seen(s.announced.Load())
		}
	}()
	key := p.Key
	if p.Wrong == "key" {
		key = "sk-canary-wrong"
	}
	req := s.request("POST", p.Path, p.body(), "Authorization: Bearer "+key, "X-Request-Id: settled-"+strconv.Itoa(p.ID)).WithContext(ctx)
	if p.Recovery != "" {
		req.Header.Set("X-Llm-Proxy-Recovery", p.Recovery)
	}
	if p.Leave == 0 {
		defer time.AfterFunc(p.LeaveIn, cancel).Stop()
	}
	resp, err := settledHTTP.Do(req)
	if err != nil {
		return // it left, or the gateway has
	}
	defer resp.Body.Close()
	body, err := readEvents(resp.Body, p.Leave, cancel)
	h.status, h.body = resp.StatusCode, body
	if err != nil && ctx.Err() == nil {
		s.t.Errorf("%+v\nbroke off: %v", p, err)
	}
}

// readEvents reads to the end, or calls leave after so many events.
func readEvents(r io.Reader, most int, leave func()) (string, error) {
	var seen bytes.Buffer
	b := make([]byte, 512)
	for {
		n, err := r.Read(b)
		seen.Write(b[:n])
		if errors.Is(err, io.EOF) {
			return seen.String(), nil
		}
		if err != nil {
			return seen.String(), err
		}
		if most > 0 && bytes.Count(seen.Bytes(), []byte("\n\n")) >= most {
			leave()
			return seen.String(), nil
		}
	}
}

// drain stops the gateway while the last requests are under way.
func (s *settled) drain() {
	last := s.plans[len(s.plans)-settledLast:]
	var clients sync.WaitGroup
	for _, p := range last {
		clients.Go(func() { s.ask(p) })
	}
	eventually(s.t, "some are with a provider", func() bool {
		with := 0
		for _, p := range last {
			p.mu.Lock()
			with += len(p.attempts)
			p.mu.Unlock()
		}
		return with >= settledLast/2
	})
	s.shutdown(30 * time.Millisecond)
	clients.Wait()
	eventually(s.t, "nothing is under way", func() bool {
		return s.metric("llm_proxy_active_requests") == 0 && s.limiter.Stats().InFlight == 0
	})
	eventually(s.t, "all tokens are counted", func() bool {
		return float64(s.sink.len()) == s.metric("llm_proxy_usage_records_total") && len(s.billed(s.lines())) == 0
	})
}

// line is what the log tells of a request.
type line struct {
	Msg       string
	RequestID string `json:"request_id"`
	Outcome   string
	Status    int
}

// lines are those of the requests, by id.
func (s *settled) lines() map[string]line {
	s.t.Helper()
	all := map[string]line{}
	for text := range strings.Lines(s.log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			s.t.Fatal(err)
		}
		if l.Msg != "request" && l.Msg != "request failed" {
			continue
		}
		if _, twice := all[l.RequestID]; twice {
			s.t.Errorf("%s ended twice", l.RequestID)
		}
		all[l.RequestID] = l
	}
	return all
}

// billed are the requests that have no record and were not refused.
func (s *settled) billed(ended map[string]line) map[string]line {
	ended = maps.Clone(ended)
	for _, r := range s.sink.all() {
		delete(ended, r.RequestID)
	}
	maps.DeleteFunc(ended, func(_ string, l line) bool { return l.Outcome == usage.Refused.String() })
	return ended
}

// checkRecords looks for each request's record, and at it.
func (s *settled) checkRecords() {
	s.checkIDs()
	records := map[string]usage.Record{}
	for _, r := range s.sink.all() {
		records[r.RequestID] = r
	}
	ended := s.lines()
	count, done := newCounting()
	defer done()
	sources := map[string]int{}
	for _, p := range s.plans {
		p.seen(s.announced.Load())
		id, h := "settled-"+strconv.Itoa(p.ID), s.heard[p.ID]
		r, recorded := records[id]
		l, logged := ended[id]
		err := p.checkAdmitted(h, l, logged, recorded)
		if err == nil && recorded {
			sources[r.Source.String()+" "+r.Outcome.String()]++
			err = errors.Join(p.check(r, h, count), p.checkCost(r))
		}
		if err != nil {
			s.t.Errorf("%v\nrecord %+v, %s\nplan %+v\nheard %+v\nattempts %s", err, r, r.Result(), p, h, p.told())
		}
		delete(records, id)
	}
	for id := range records {
		s.t.Errorf("there is a record of %s, which nobody asked for", id)
	}
	s.t.Logf("%d requests, %d ended, %d recorded: %v", len(s.plans), len(ended), s.sink.len(), sources)
}

// told writes the attempts for a failure.
func (p *plan) told() string {
	var b strings.Builder
	for _, a := range p.attempts {
		fmt.Fprintf(&b, "\n%+v", *a)
	}
	return b.String()
}

// checkAdmitted: who was admitted, as provider, client and log know it, has a
// record, and nobody else.
func (p *plan) checkAdmitted(h received, l line, logged, recorded bool) error {
	refused := l.Outcome == usage.Refused.String()
	switch {
	case h.status != 0 && !logged:
		return errors.New("answered, and it never ended")
	case recorded && !logged:
		return errors.New("recorded, and it never ended")
	case len(p.attempts) > 0 && !recorded:
		return errors.New("a provider was asked, and there is no record")
	case logged && !refused && !recorded:
		return errors.New("it went on, and there is no record")
	case recorded && p.Wrong != "" && l.Status != 499:
		return errors.New("a request that is wrong has a record")
	case recorded && refused && h.status != 0 && h.code() != "no_healthy_provider":
		return errors.New("refused, and there is a record")
	}
	return nil
}

// checkCost: the money is that of a version that the request may have seen.
func (p *plan) checkCost(r usage.Record) error {
	for version := p.versions[0]; version <= p.versions[1]; version++ {
		if r.CostMicroUSD == settledCost(r, version) || r.Source == usage.None {
			return nil
		}
	}
	return fmt.Errorf("the prices of no version from %d to %d give %d", p.versions[0], p.versions[1], r.CostMicroUSD)
}
