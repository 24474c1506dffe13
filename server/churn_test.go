package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// Requests that follow each other share a connection to the provider, whatever
// their clients do with theirs, and whatever they are: 60 open 10 at most. R26.
func TestSequentialRequestsShareAConnection(t *testing.T) {
	const most = 10 // a stream's connection is back a moment after its last event
	f := func(name string, ask func(r *rig, i int) answer) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			for i := range 60 {
				if got := ask(r, i); got.err != nil || got.status != 200 && got.status != 400 {
					t.Errorf("request %d: %d %s (%v)", i, got.status, got.body, got.err)
				}
			}
			if n := p.Opened(); n > most || p.Count() < 60 {
				t.Errorf("%d connections for %d requests", n, p.Count())
			}
		})
	}
	bodies := []string{hello, helloSSE}
	f("on one connection", func(r *rig, i int) answer { return r.post(chat, bodies[i%2]) })
	f("each on its own", func(r *rig, i int) answer { return r.post(chat, bodies[i%2], "Connection: close") })
	f("each from a new client", func(r *rig, i int) answer {
		c := r.dial(chat, bodies[i%2])
		defer c.Close()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return answer{err: err}
		}
		a := answer{status: resp.StatusCode}
		a.body, a.err = io.ReadAll(resp.Body)
		return a
	})
	f("of which some are refused", func(r *rig, i int) answer {
		if i%3 == 0 {
			r.post(chat, "{}")
		}
		return r.post(chat, bodies[i%2])
	})
	f("of every endpoint", func(r *rig, i int) answer {
		return r.post([]string{chat, "/v1/completions", "/v1/embeddings", "/v1/responses"}[i%4], hello)
	})
}

// Bursts of requests use the connections of the burst before. R26.
func TestBurstsShareConnections(t *testing.T) {
	const size = 40
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	for burst := range 4 {
		hold := make(chan struct{})
		p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
			a := fakeprovider.OpenAI(q)
			a.Hold = hold
			return a
		})
		var all sync.WaitGroup
		for range size {
			all.Go(func() {
				if got := r.post(chat, helloSSE); got.status != 200 || got.err != nil {
					t.Errorf("%d (%v)", got.status, got.err)
				}
			})
		}
		eventually(t, "all have arrived", func() bool { return p.Count() == (burst+1)*size })
		close(hold)
		all.Wait()
		eventually(t, "nothing in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
	}
	if n := p.Opened(); n > size+2 {
		t.Errorf("%d connections for bursts of %d", n, size)
	}
}

// Thousands of clients that come, ask and go, some of them before their answer,
// fail nowhere and do not use up the ports between gateway and provider: a
// connection that is given up is reset, and waits for nothing. R26.
func TestChurn(t *testing.T) {
	const visitors, rounds = 16, 60
	var came [visitors]chan bool // the visitor's request is at the provider
	for i := range came {
		came[i] = make(chan bool, rounds)
	}
	p := fakeprovider.Start(t, fakeprovider.Options{Keep: 4})
	p.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		if visitor, ok := q.JSON()["user"].(float64); ok {
			came[int(visitor)] <- true
			return silentBefore
		}
		return fakeprovider.OpenAI(q)
	})
	r := start(t, serves(p))
	var all sync.WaitGroup
	for visitor := range visitors {
		leaves := strings.Replace(hello, "{", fmt.Sprintf(`{"user":%d,`, visitor), 1)
		all.Go(func() {
			for i := range rounds {
				if i%3 == 0 {
					c := r.dial(chat, leaves)
					<-came[visitor]
					leave(c, i%2 == 0)
					continue
				}
				c := r.dial(chat, hello)
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("visit %d: %v", i, err)
				} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Errorf("visit %d: %v", i, err)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(t, "nothing in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
	eventually(t, "idle connections are few", func() bool { return p.Open() <= 2*visitors })
	p.Faults() // a client that leaves within its request is none of theirs
	if n, ok := timeWaits(t, p.Addr()); ok && n > visitors {
		t.Errorf("%d of %d connections to the provider wait for their time to pass", n, p.Opened())
	}
}

// A connection on which nothing was ever asked is closed without a word when
// its time is over. Clients open some in advance, and one of them once sent a
// request on it at that moment: it took the 400 for its answer.
func TestSilentConnectionEndsWithoutAWord(t *testing.T) {
	f := func(said, want string) {
		t.Helper()
		r := start(t, serves(fakeprovider.Start(t)), func(o *server.Options, _ *route.Builder) {
			o.ReadTimeout, o.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond
		})
		c := r.dialRaw(t)
		c.say(said)
		got, err := io.ReadAll(c.br)
		if err != nil || !strings.HasPrefix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("after %q: %q (%v)", said, got, err)
		}
	}
	f("", "")
	f("POST /v1/chat", "HTTP/1.1 400 ")
	f(strings.Replace(httpRequest("/health", ""), "POST", "GET", 1), "HTTP/1.1 200 ")
}

// timeWaits counts the sockets in TIME_WAIT whose peer is the address. It is
// not ok where the system does not tell.
func timeWaits(t *testing.T, address string) (n int, ok bool) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, false
	}
	_, port, _ := net.SplitHostPort(address)
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		const timeWait = "06"
		if f := strings.Fields(line); len(f) > 3 && f[3] == timeWait && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", number)) {
			n++
		}
	}
	return n, true
}
