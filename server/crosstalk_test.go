package server_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// mark is what a request of the cross-talk test carries wherever it can, and
// what its answer must hold, and no other.
var mark = regexp.MustCompile(`mark-[0-9]+-[0-9]+-`)

// strange returns a mark in text that is not own, or "".
func strange(text, own string) string {
	for _, m := range mark.FindAllString(text, -1) {
		if m != own {
			return m
		}
	}
	return ""
}

// echoMark answers with the mark in every header and all over the body: whole,
// streamed, longer than what is kept of an answer, compressed, in small pieces,
// as an error, or cut off. What it was sent must be of one request, too.
func echoMark(mixed func(string)) fakeprovider.Handler {
	return func(q *fakeprovider.Request) fakeprovider.Answer {
		own, _ := q.JSON()["user"].(string)
		for _, name := range []string{"X-Request-Id", "X-Client-Request-Id", "Idempotency-Key"} {
			if got := q.Header.Get(name); got != own {
				mixed(fmt.Sprintf("%s was sent with %s %s", own, name, got))
			}
		}
		if other := strange(string(q.Body), own); other != "" || own == "" {
			mixed(fmt.Sprintf("%q was sent with %q", own, other))
		}
		reply := fakeprovider.Reply{Text: []string{own, " says ", own, own}}
		switch rand.IntN(4) {
		case 0:
			reply.Text[2] = strings.Repeat(own, 1+rand.IntN(1000)) // up to 13 kB
		case 1:
			reply.NoUsage = true
		}
		a := reply.Answer(q)
		switch rand.IntN(10) {
		case 0:
			return fakeprovider.Fail(400, "bad", "not for "+own)
		case 1:
			return fakeprovider.Fail(500, "bad", "not for "+own)
		case 2:
			a.Gzip = true
		case 3:
			a.Split = 1000
		case 4:
			a = a.CutInside(len(a.Parts)/2, fakeprovider.FIN)
		case 5:
			a.Gap = time.Millisecond
		}
		a.Header = append(a.Header, "openai-organization: "+own, "x-ratelimit-reset-tokens: "+own)
		return a
	}
}

// Clients on connections of their own, each request with its own mark, whole
// and streamed, some left in the middle: every byte that comes is of the
// request it answers. R25.
func TestNoCrossTalk(t *testing.T) {
	const clients, each = 24, 25
	var talk crossTalk
	var providers []*fakeprovider.Provider
	for range 2 {
		p := fakeprovider.Start(t, fakeprovider.Options{Keep: 4})
		p.Handle(echoMark(func(text string) { talk.fault(t, "%s", text) }))
		providers = append(providers, p)
	}
	talk.rig = start(t, serves(providers...), func(o *server.Options, _ *route.Builder) { o.MaxAnswerBytes = 4 << 10 })
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for n := range each {
				talk.once(t, c, i, n)
			}
		})
	}
	all.Wait()
	r := talk.rig
	eventually(t, "nothing in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
	counted := int(r.metric("llm_proxy_requests_total", "chat/completions"))
	eventually(t, "as many records as requests", func() bool { return r.sink.len() == counted })
	for _, rec := range r.sink.all() {
		if name := talk.name(rec.RequestID); rec.APIKeyName != name {
			t.Errorf("%s is recorded for %q", rec.RequestID, rec.APIKeyName)
		}
	}
	t.Logf("%d requests, %d right, %d failed, %d cut, %d left", clients*each, talk.right.Load(), talk.failed.Load(), talk.cut.Load(), talk.left.Load())
	if talk.right.Load() == 0 || talk.failed.Load() == 0 || talk.cut.Load() == 0 || talk.left.Load() == 0 {
		t.Error("something was never tried")
	}
	for _, p := range providers {
		p.Faults() // a client that leaves in the middle of a request is none of theirs
	}
}

type crossTalk struct {
	*rig
	right, failed, cut, left, faults atomic.Int64
}

func (c *crossTalk) fault(t *testing.T, format string, args ...any) {
	if c.faults.Add(1) <= 10 {
		t.Errorf(format, args...)
	}
}

// name is the client key's that asks with a mark: two keys take turns.
func (c *crossTalk) name(own string) string {
	var i, n int
	_, _ = fmt.Sscanf(own, "mark-%d-%d-", &i, &n)
	return []string{"tester", "another"}[n%2]
}

func (c *crossTalk) once(t *testing.T, client *http.Client, i, n int) {
	own := fmt.Sprintf("mark-%d-%d-", i, n)
	stream := rand.IntN(2) == 0
	prompt := strings.Repeat(own, 1+rand.IntN(100)) // up to 1 kB
	body := fmt.Sprintf(`{"model":"gpt-4","stream":%v,"messages":[{"role":"user","content":%q}],"user":%q}`, stream, prompt, own)
	key := map[string]string{"tester": clientKey, "another": anotherKey}[c.name(own)]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	leaves := rand.IntN(5) == 0
	if leaves {
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, cancel)
	}
	req := c.request("POST", chat, body, "Authorization: Bearer "+key, "X-Request-Id: "+own, "X-Client-Request-Id: "+own, "Idempotency-Key: "+own)
	req.GetBody = nil // no silent second try
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		if c.left.Add(1); !leaves {
			c.fault(t, "%s: %v", own, err)
		}
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	c.judge(t, own, resp, string(got), err, stream, leaves)
}

func (c *crossTalk) judge(t *testing.T, own string, resp *http.Response, got string, err error, stream, leaves bool) {
	if other := strange(fmt.Sprint(resp.Header, got), own); other != "" {
		c.fault(t, "%s got something of %s: %v %.300s", own, other, resp.Header, got)
	}
	if id := resp.Header.Get("X-Request-Id"); id != own {
		c.fault(t, "%s is answered as %s", own, id)
	}
	switch {
	case leaves && err != nil:
		c.left.Add(1)
	case resp.StatusCode != 200:
		c.failed.Add(1)
	case err != nil || stream && strings.Contains(got, cutEvent):
		c.cut.Add(1)
	case !strings.Contains(got, own) || stream && !strings.HasSuffix(got, doneMark) || !stream && !strings.HasSuffix(got, "}"):
		c.fault(t, "%s: %d %.300s", own, resp.StatusCode, got)
	default:
		c.right.Add(1)
	}
}
