package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// soakProviders are the providers of a soak: one that never fails, and one that
// fails in every way, half of the time, before it in the order.
type soakProviders struct {
	providers []*fakeprovider.Provider
	rows      []int64
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{}
	good, flaky := fakeprovider.Start(t, fakeprovider.Options{Keep: 16}), fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	good.Handle(echo)
	flaky.Handle(echoOrFail)
	s.providers = []*fakeprovider.Provider{good, flaky}
	s.Gateway = gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{
		"LOG_LEVEL": "error", "OVERLOAD_DELAY_MS": "0", "GORACE": promptRace,
	}})
	for _, row := range []map[string]any{
		{"provider_key": "good", "api_base": good.URL(), "model_mapping": map[string]any{"steady": "x", "flaky": "x"}, "priority": 1},
		{"provider_key": "bad", "api_base": flaky.URL(), "model_mapping": map[string]any{"flaky": "x"}, "provider_params": map[string]any{"first_byte_timeout_ms": 300}},
	} {
		s.rows = append(s.rows, s.AddProvider(t, row))
	}
	s.key = s.Key(t)
	if status, answer := s.Post(t, "/v1/chat/completions", s.key, soakBody("steady", "first", 0, false)); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	return s
}

// echo answers with what the request names as its user, so that an answer
// shows whose it is. Every fourth says nothing of usage: it is counted.
func echo(q *fakeprovider.Request) fakeprovider.Answer {
	user, _ := q.JSON()["user"].(string)
	a := fakeprovider.Reply{Text: []string{"for ", user, " alone"}, NoUsage: q.Seq%4 == 0}.Answer(q)
	a.Gap = 5 * time.Millisecond
	return a
}

func echoOrFail(q *fakeprovider.Request) fakeprovider.Answer {
	switch rand.IntN(14) {
	case 0:
		return fakeprovider.Fail(500, "server_error", "boom")
	case 1:
		return fakeprovider.Fail(503, "overloaded", "busy")
	case 2:
		return fakeprovider.Limited(10 * time.Millisecond)
	case 3:
		return fakeprovider.Answer{Raw: "garbage\r\n\r\n", Ending: fakeprovider.FIN}
	case 4:
		return echo(q).CutAfter(1, fakeprovider.RST)
	case 5:
		return echo(q).CutInside(0, fakeprovider.FIN)
	case 6:
		return fakeprovider.Answer{Delay: time.Hour}
	}
	return echo(q)
}

// soakLoad is clients in a rhythm, and an administrator.
type soakLoad struct {
	s       *soak
	stopped atomic.Bool
	running sync.WaitGroup
	admin   chan struct{} // closed when the administrator has ended

	right, failed, refused, left, reloads atomic.Int64

	mu     sync.Mutex // guards faults
	faults []string   // the first wrong answers
}

func (l *soakLoad) String() string {
	return fmt.Sprintf("%d answered, %d failed with the provider, %d refused, %d left, %d changes",
		l.right.Load(), l.failed.Load(), l.refused.Load(), l.left.Load(), l.reloads.Load())
}

const (
	soakClients = 32
	soakPause   = 50 * time.Millisecond // between two requests of a client
)

func (s *soak) begin(t *testing.T) *soakLoad {
	l := &soakLoad{s: s, admin: make(chan struct{})}
	for i := range soakClients {
		l.running.Go(func() {
			c := &soakClient{load: l, name: fmt.Sprintf("client%d", i), http: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}}
			defer c.http.CloseIdleConnections()
			tick := time.NewTicker(soakPause)
			defer tick.Stop()
			for ; !l.stopped.Load(); <-tick.C {
				c.once()
			}
		})
	}
	go func() {
		defer close(l.admin)
		l.administer(t)
	}()
	return l
}

// stop ends the load and returns what it did.
func (l *soakLoad) stop() string {
	l.stopped.Store(true)
	l.running.Wait()
	<-l.admin
	return l.String()
}

// administer changes weights and keys all the time.
func (l *soakLoad) administer(t *testing.T) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := 0; !l.stopped.Load(); i++ {
		row := l.s.rows[i%len(l.s.rows)]
		l.s.Admin(t, http.MethodPatch, fmt.Sprintf("/providers/%d", row), map[string]any{"weight": 1 + rand.IntN(5)}, http.StatusOK)
		if i%5 == 0 {
			_, id := l.s.AddCredential(t, map[string]any{"name": fmt.Sprintf("guest-%d", i%4)})
			l.s.Admin(t, http.MethodDelete, fmt.Sprintf("/credentials/%d", id), nil, http.StatusOK)
		}
		l.reloads.Add(1)
		<-tick.C
	}
}

func (l *soakLoad) wrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < 10 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// soakClient asks on connections of its own, one request at a time.
type soakClient struct {
	load  *soakLoad
	name  string
	http  *http.Client
	asked int
}

func soakBody(model, user string, prompt int, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"stream":%v,"user":%q,"messages":[{"role":"user","content":"Hello! %s"}]}`, model, stream, user, strings.Repeat("word ", prompt))
}

// once makes one request of a kind that chance chooses.
func (c *soakClient) once() {
	c.asked++
	user := fmt.Sprintf("%s-%d", c.name, c.asked)
	stream := rand.IntN(2) == 0
	switch k := rand.IntN(20); {
	case k < 8:
		c.ask("steady", user, 10, stream)
	case k < 14:
		c.ask("flaky", user, 10, stream)
	case k < 15:
		c.ask("steady", user, 20_000, stream) // 100 kB
	case k < 16:
		c.ask("unknown", user, 1, stream)
	case k < 17:
		c.http.CloseIdleConnections()
		c.ask("steady", user, 1, stream)
	default:
		c.leave(user, stream)
	}
}

func (c *soakClient) request(ctx context.Context, body string) *http.Request {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.load.s.URL+"/v1/chat/completions", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		panic(err)
	}
	q.ContentLength = int64(len(body))
	q.Header.Set("Authorization", "Bearer "+c.load.s.key)
	return q
}

// leave goes away within 20 ms, whatever has come by then.
func (c *soakClient) leave(user string, stream bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rand.IntN(20))*time.Millisecond)
	defer cancel()
	resp, err := c.http.Do(c.request(ctx, soakBody("steady", user, 10, stream)))
	c.load.left.Add(1)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

func (c *soakClient) ask(model, user string, prompt int, stream bool) {
	resp, err := c.http.Do(c.request(context.Background(), soakBody(model, user, prompt, stream)))
	if err != nil {
		c.load.wrong("%s: %v", model, err)
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.load.wrong("%s: %d broke off: %v", model, resp.StatusCode, err)
		return
	}
	c.judge(model, user, resp.StatusCode, string(got), stream)
}

// judge tells right answers and honest failures from wrong answers.
func (c *soakClient) judge(model, user string, status int, got string, stream bool) {
	l := c.load
	failed := strings.Contains(got, `"error":{`)
	switch {
	case status == 404 && model == "unknown" && failed:
		l.refused.Add(1)
	case failed && model == "flaky":
		l.failed.Add(1)
	case status != 200 || failed:
		l.wrong("%s: %d %s", model, status, got)
	case !strings.Contains(got, user+" alone") && !strings.Contains(got, `"`+user+`"`):
		l.wrong("%s's answer is another's: %s", user, got)
	case stream && !strings.HasSuffix(got, "data: [DONE]\n\n") || !stream && !strings.Contains(got, `"finish_reason":"stop"`):
		l.wrong("%s: not whole: %s", model, got)
	default:
		l.right.Add(1)
	}
}
