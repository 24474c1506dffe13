package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is clients that ask without pause until they are told to stop.
type crowd struct {
	url     string
	client  *http.Client
	stopped atomic.Bool
	running sync.WaitGroup

	asked  atomic.Int64
	failed atomic.Int64
	mu     sync.Mutex // guards first
	first  []string   // of the failures
}

func newCrowd(url string) *crowd {
	return &crowd{url: url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

// steady adds a client whose every request must be answered well.
func (c *crowd) steady(key, model string, stream bool) {
	c.running.Go(func() {
		for !c.stopped.Load() {
			if status, err := c.ask(key, model, stream); err != nil || status != 200 {
				c.fail("%s: %d %v", key, status, err)
			}
		}
	})
}

// guest adds a client that may be refused while its key or its model is gone.
func (c *crowd) guest(g *guest) {
	c.running.Go(func() {
		for !c.stopped.Load() {
			before := g.state.Load()
			status, err := c.ask(g.key, g.model, g.stream)
			after := g.state.Load()
			if err == nil && g.may(status, before, after) {
				if status != 200 {
					time.Sleep(5 * time.Millisecond) // refusals are quick, and are not what is to be shown
				}
				continue
			}
			c.fail("guest %s: %d %v, state %v and then %v", g.key, status, err, before, after)
		}
	})
}

func (c *crowd) fail(format string, args ...any) {
	c.failed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.first) < 10 {
		c.first = append(c.first, fmt.Sprintf(format, args...))
	}
}

// stop ends the load and returns the first failures.
func (c *crowd) stop() []string {
	c.stopped.Store(true)
	c.running.Wait()
	c.client.CloseIdleConnections()
	return c.first
}

// ask makes one request; an answer that is not whole is an error.
func (c *crowd) ask(key, model string, stream bool) (int, error) {
	c.asked.Add(1)
	body := fmt.Sprintf(`{"model":%q,"stream":%v,"messages":[{"role":"user","content":"Hello!"}]}`, model, stream)
	q, err := http.NewRequest(http.MethodPost, c.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	q.Header.Set("Authorization", "Bearer "+key)
	q.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return resp.StatusCode, err
	case resp.StatusCode != 200:
		if !strings.Contains(string(got), `"error"`) {
			return resp.StatusCode, fmt.Errorf("no error in %s", got)
		}
	case stream && (!strings.HasSuffix(string(got), "data: [DONE]\n\n") || strings.Contains(string(got), `"error"`)):
		return resp.StatusCode, fmt.Errorf("not a whole stream: %s", got)
	case !stream && !strings.Contains(string(got), `"finish_reason":"stop"`):
		return resp.StatusCode, fmt.Errorf("not a whole answer: %s", got)
	}
	return resp.StatusCode, nil
}

// guest is a client whose key and model come and go. Only the one who changes
// the configuration writes its state.
type guest struct {
	key, model string
	stream     bool
	state      atomic.Value // of presence
}

// presence says what of a guest serves.
type presence struct {
	changes  int // made so far
	changing bool
	key      bool
	model    bool
}

// may reports whether a request may end with this status if these were the
// states before and after it.
func (g *guest) may(status int, before, after any) bool {
	p := before.(presence)
	switch {
	case before != after || p.changing:
		return status == 200 || status == 401 || status == 404
	case !p.key:
		return status == 401
	case !p.model:
		return status == 404
	}
	return status == 200
}

// change notes that what the guest has is about to change, makes the change,
// and notes that it serves.
func (g *guest) change(f func(p *presence)) {
	p := g.state.Load().(presence)
	p.changing = true
	p.changes++
	g.state.Store(p)
	f(&p)
	p.changing = false
	g.state.Store(p)
}
