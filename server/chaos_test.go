package server_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

var chaosTime = flag.Duration("chaos", 4*time.Second, "how long TestChaos goes on")

// tells answers as OpenAI would, with what the request names as its user.
func tells(q *fakeprovider.Request) fakeprovider.Answer {
	return fakeprovider.Reply{Text: own(q)}.Answer(q)
}

func own(q *fakeprovider.Request) []string {
	user, _ := q.JSON()["user"].(string)
	return []string{"only", " for ", user}
}

// faults are all that a provider does wrong, among what it does right.
var faults = []func(q *fakeprovider.Request) fakeprovider.Answer{
	func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(500, "server_error", "boom") },
	func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(503, "overloaded", "busy") },
	func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Fail(401, "invalid_api_key", "who?")
	},
	func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Fail(400, "bad", "no") },
	func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Limited(20 * time.Millisecond) },
	func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Answer{Delay: time.Hour} },
	func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Answer{Raw: "garbage\r\n\r\n", Ending: fakeprovider.FIN}
	},
	func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Answer{Raw: "HTTP/1.1 2", Ending: fakeprovider.RST}
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return tells(q).CutInside(0, fakeprovider.FIN)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return tells(q).CutAfter(2, fakeprovider.RST)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return tells(q).CutInside(0, fakeprovider.Silent)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{NoDone: true, Text: own(q)}.Answer(q)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{NoFinish: true, NoDone: true, Text: own(q)}.Answer(q)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{NoUsage: true, Text: own(q)}.Answer(q)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Reply{RefuseStreamOptions: true, NoUsage: true, Text: own(q)}.Answer(q)
	},
	func(q *fakeprovider.Request) fakeprovider.Answer { a := tells(q); a.Split = 1; return a },
	func(q *fakeprovider.Request) fakeprovider.Answer {
		a := tells(q)
		a.Gzip = true
		return a
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		a := tells(q)
		a.Extra = "HTTP/1.1 200 OK\r\n\r\n"
		return a
	},
	func(q *fakeprovider.Request) fakeprovider.Answer {
		a := tells(q)
		a.Gap = 10 * time.Millisecond
		return a
	},
}

// Whatever providers and clients do, all at once: every admitted request is
// settled exactly once (contract 3), nothing looks complete that is not or is
// another's, and no connection, descriptor, goroutine or memory is left behind.
// R53, R55; a long one is go test ./server -run TestChaos -chaos 60s.
func TestChaos(t *testing.T) {
	var providers []*fakeprovider.Provider
	for range 4 {
		p := fakeprovider.Start(t, fakeprovider.Options{Keep: 4})
		p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
			if rand.IntN(2) == 0 {
				return tells(q)
			}
			return faults[rand.IntN(len(faults))](q)
		})
		providers = append(providers, p)
	}
	set := serves(providers...)
	for i := range set.Providers {
		set.Providers[i].Priority = i / 2
	}
	r := start(t, set, quick, func(o *server.Options, b *route.Builder) { o.RetryBudget = 100 })

	// What is made once is not left behind: the vocabulary of the token counter.
	providers[0].ScriptFunc(func(q *fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Reply{NoUsage: true}.Answer(q) })
	providers[1].ScriptFunc(func(q *fakeprovider.Request) fakeprovider.Answer { return fakeprovider.Reply{NoUsage: true}.Answer(q) })
	r.post(chat, hello)
	r.sink.wait(t, 1)
	http.DefaultClient.CloseIdleConnections()
	before := takeInventory()
	r.sink.clear()

	var asked, answered, broken, left atomic.Int64
	ctx, stop := context.WithTimeout(t.Context(), *chaosTime)
	defer stop()
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			c := &chaosClient{rig: r, asked: &asked, answered: &answered, broken: &broken, left: &left}
			defer c.http.CloseIdleConnections()
			for ctx.Err() == nil {
				c.once()
			}
		})
	}
	reloads := 0
	for ctx.Err() == nil {
		r.reweigh(int64(reloads + 2))
		reloads++
		<-time.After(20 * time.Millisecond)
	}
	clients.Wait()

	eventually(t, "nothing is in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
	counted := int(r.metric("llm_proxy_requests_total", "chat/completions")) - 1
	eventually(t, "as many records as requests", func() bool { return r.sink.len() == counted })
	if n := int64(counted); n > asked.Load() || n < answered.Load() {
		t.Errorf("%d requests were made and %d answered, but %d counted", asked.Load(), answered.Load(), n)
	}
	r.checkIDs()
	if n := r.metric("llm_proxy_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	r.live.Close()
	for _, p := range providers {
		eventually(t, "no connection to a provider is left", func() bool { return p.Open() == 0 })
		p.Faults() // a client that leaves in the middle of a request is none of theirs
	}
	r.sink.clear()
	r.checkInventory(before)
	t.Logf("%d requests (%d broken off by clients, %d failed), %d reloads", asked.Load(), left.Load(), broken.Load(), reloads)
}

// checkIDs fails the test if a request is recorded twice.
func (r *rig) checkIDs() {
	ids := map[string]bool{}
	for _, rec := range r.sink.all() {
		if ids[rec.RequestID] {
			r.t.Fatalf("request %s is recorded twice", rec.RequestID)
		}
		ids[rec.RequestID] = true
	}
}

// clear forgets the records.
func (s *sink) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = nil
}

// inventory is what this process has. That it has no more goroutines when all
// tests are over is TestMain's to check.
type inventory struct {
	heap        uint64
	descriptors int // -1 where the system does not tell
}

func takeInventory() inventory {
	i := inventory{heap(), -1}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		i.descriptors = len(open)
	}
	return i
}

// checkInventory compares what there is with what was. The log is the test's;
// pools are empty after the second collection of garbage, which heap makes.
func (r *rig) checkInventory(before inventory) {
	const room = 2 << 20
	var now inventory
	eventually(r.t, "no descriptor is left", func() bool { now = takeInventory(); return now.descriptors <= before.descriptors })
	r.log.mu.Lock()
	logged := r.log.b.Cap()
	r.log.mu.Unlock()
	grown := int64(now.heap) - int64(before.heap) - int64(logged)
	if grown > room {
		r.t.Errorf("%d kB of heap are left, beside %d kB of log", grown>>10, logged>>10)
	}
	r.t.Logf("heap %d kB, then %d kB, of which %d kB are the log; %d descriptors, then %d",
		before.heap>>10, now.heap>>10, logged>>10, before.descriptors, now.descriptors)
}

// reweigh serves the same providers with other weights.
func (r *rig) reweigh(version int64) {
	old := r.source.set.Load()
	next := &config.Set{Version: version, Credentials: old.Credentials, Providers: append([]config.Provider(nil), old.Providers...)}
	for i := range next.Providers {
		next.Providers[i].Weight = rand.IntN(5)
	}
	r.source.set.Store(next)
	if _, err := r.live.Reload(context.Background()); err != nil {
		r.t.Error(err)
	}
}

// chaosClient asks, and sometimes leaves.
type chaosClient struct {
	rig  *rig
	http http.Client

	asked, answered, broken, left *atomic.Int64
}

func (c *chaosClient) once() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	body := hello
	if rand.IntN(2) == 0 {
		body = helloSSE
	}
	id := c.asked.Add(1)
	user := fmt.Sprintf("mark-0-%d-", id)
	req := c.rig.request("POST", chat, strings.Replace(body, "{", `{"user":"`+user+`",`, 1)).WithContext(ctx)
	if recovery := []string{"", "none", "splice", "hold"}[rand.IntN(4)]; recovery != "" {
		req.Header.Set("X-Llm-Proxy-Recovery", recovery)
	}
	if rand.IntN(4) == 0 {
		time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, cancel)
	}
	req.GetBody = nil // no silent second try
	req.Header.Set("X-Request-Id", strconv.FormatInt(id, 10))
	resp, err := c.http.Do(req)
	if err != nil {
		c.left.Add(1) // before the head of the answer, and perhaps of the request
		return
	}
	c.answered.Add(1)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if other := strange(string(got), user); other != "" {
		c.rig.t.Errorf("%s was answered with %s: %s", user, other, got)
	}
	c.judge(resp.StatusCode, body == helloSSE, got, err, ctx.Err() != nil)
}

func (c *chaosClient) judge(status int, stream bool, got []byte, err error, gone bool) {
	t := c.rig.t
	switch {
	case gone:
		c.left.Add(1)
	case err != nil:
		t.Errorf("the answer broke off: %v after %d bytes", err, len(got))
	case status != 200:
		c.broken.Add(1)
		if !bytes.Contains(got, []byte(`"error"`)) {
			t.Errorf("%d without an error: %s", status, got)
		}
	case stream && strings.Contains(string(got), cutEvent):
		c.broken.Add(1)
	case stream && (!bytes.Contains(got, []byte(`"finish_reason":"stop"`)) || !bytes.HasSuffix(got, []byte(doneMark))):
		t.Errorf("a stream that looks complete and is not: %s", got)
	}
}
