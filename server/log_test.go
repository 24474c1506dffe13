package server_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// logging sets how requests are logged. The rig's log is at debug.
func logging(share float64, slow time.Duration, lines int64) func(*server.Options, *route.Builder) {
	return func(o *server.Options, _ *route.Builder) {
		o.LogShare, o.SlowRequest, o.MaxLogLines = share, slow, lines
	}
}

// lines are the log's so far that have this message.
func (r *rig) lines(message string) (found []map[string]any) {
	r.t.Helper()
	for text := range strings.Lines(r.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.t.Fatalf("%q: %v", text, err)
		}
		if line["msg"] == message {
			found = append(found, line)
		}
	}
	return found
}

// requestLine waits for the n-th line of a request that ended well.
func (r *rig) requestLine(n int) (line map[string]any) {
	r.t.Helper()
	eventually(r.t, "the line of a request", func() bool {
		if all := r.lines("request"); len(all) >= n {
			line = all[n-1]
		}
		return line != nil
	})
	return line
}

// The line of a request tells who asked whom for what, how it ended, and where
// its time went.
func TestLineOfARequest(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	says := func(line map[string]any, want map[string]any) {
		t.Helper()
		for name, value := range want {
			if line[name] != value {
				t.Errorf("%s is %v, want %v, in %v", name, line[name], value, line)
			}
		}
	}
	times := func(line map[string]any, names ...string) {
		t.Helper()
		for _, name := range names {
			ms, ok := line[name].(float64)
			if total, _ := line["duration_ms"].(float64); !ok || ms < 0 || ms > total {
				t.Errorf("%s is %v, in %v", name, line[name], line)
			}
			if whole := math.Round(ms*1000) / 1000; whole != ms {
				t.Errorf("%s has less than microseconds: %v", name, ms)
			}
		}
	}

	said := fakeprovider.OK(`{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":34,"prompt_tokens_details":{"cached_tokens":5}}}`)
	said.Header = append(said.Header, "X-Request-Id: upstream-1")
	p.Script(said)
	r.post(chat, hello, "X-Request-Id: mine-1")
	line := r.requestLine(1)
	says(line, map[string]any{
		"level": "DEBUG", "request_id": "mine-1", "upstream_request_id": "upstream-1", "endpoint": chat, "status": 200.0, "outcome": "ok",
		"api_key_name": "tester", "provider": "a", "model": "gpt-4", "attempts": 1.0, "stream": false,
		"prompt_tokens": 12.0, "completion_tokens": 34.0, "cached_tokens": 5.0, "reasoning_tokens": 0.0, "ttft_ms": nil, "queue_ms": nil,
	})
	times(line, "overhead_ms", "admit_ms", "first_byte_ms")

	p.Script(fakeprovider.Events(chunk("a"), finish, doneMark))
	r.post(chat, helloSSE)
	line = r.requestLine(2)
	says(line, map[string]any{"stream": true, "outcome": "ok", "prompt_tokens": nil})
	times(line, "overhead_ms", "admit_ms", "first_byte_ms", "ttft_ms")

	// Of one that nobody was asked for there is less to tell; what the client wrote
	// is not repeated.
	r.post(chat, `{"model":"`+promptCanary+`"}`)
	line = r.requestLine(3)
	says(line, map[string]any{
		"status": 404.0, "outcome": "rejected", "code": "model_not_found", "model": nil, "error": nil, "provider": "", "attempts": 0.0,
		"admit_ms": nil, "first_byte_ms": nil,
	})
}

// A request that waited for its provider to have room says how long.
func TestLineOfARequestThatWaited(t *testing.T) {
	p := fakeprovider.Start(t)
	set := serves(p)
	set.Providers[0].Params.MaxConcurrency = new(int64(1))
	r := start(t, set, func(o *server.Options, _ *route.Builder) { o.MaxWaiting, o.WaitTimeout = 10, 10*time.Second })
	slow := fakeprovider.OK(`{"choices":[]}`)
	slow.Delay = 50 * time.Millisecond
	p.Handle(always(slow))
	first := make(chan answer, 1)
	go func() { first <- r.post(chat, hello) }()
	eventually(t, "the first request is under way", func() bool { return p.Count() == 1 })
	r.post(chat, hello)
	<-first
	for _, n := range []int{1, 2} {
		line := r.requestLine(n)
		if waited, ok := line["queue_ms"].(float64); ok && waited > 0 && waited <= line["admit_ms"].(float64) {
			return
		}
	}
	t.Errorf("nobody says that it waited: %v", r.lines("request"))
}

// A share of the requests is at info: none, some or all.
func TestShareOfRequestsAtInfo(t *testing.T) {
	f := func(share float64, least, most int) {
		t.Helper()
		p := fakeprovider.Start(t)
		p.Handle(always(fakeprovider.OK(`{"choices":[]}`)))
		r := start(t, serves(p), logging(share, 0, 20))
		const asked = 300
		for range asked {
			r.post(chat, hello)
		}
		r.requestLine(asked)
		info := 0
		for _, line := range r.lines("request") {
			if line["level"] == "INFO" {
				info++
			}
		}
		if info < least || info > most {
			t.Errorf("share %v: %d of %d, want %d to %d", share, info, asked, least, most)
		}
	}
	f(0, 0, 0)
	f(0.5, 80, 220) // eight standard deviations
	f(1, 300, 300)
}

// A slow request is a warning, but not more than MAX_LOG_LINES of them in a
// second; the rest is counted, and told by the next.
func TestSlowRequestsAreWarnings(t *testing.T) {
	p := fakeprovider.Start(t)
	p.Handle(always(fakeprovider.OK(`{"choices":[]}`)))
	quick := start(t, serves(p), logging(0, time.Hour, 20))
	quick.post(chat, hello)
	if quick.requestLine(1)["level"] != "DEBUG" || len(quick.lines("request slow")) != 0 {
		t.Errorf("a quick request is slow: %v", quick.lines("request slow"))
	}

	r := start(t, serves(p), logging(1, time.Nanosecond, 2))
	asked := 0.0
	told := func() (lines, missed float64) {
		for _, line := range r.lines("request slow") {
			if line["level"] != "WARN" || line["provider"] != "a" {
				t.Fatalf("%v", line)
			}
			lines++
			missed += line["not_logged"].(float64)
		}
		return lines, missed
	}
	for end := time.Now().Add(5 * time.Second); ; asked++ {
		if _, missed := told(); missed > 0 {
			break
		}
		if r.post(chat, hello); time.Now().After(end) {
			t.Fatal("no line tells of those that were left out")
		}
	}
	lines, missed := told()
	counted := r.metric("llm_proxy_limit_hits_total", `limit="max_log_lines"`)
	if lines+counted < asked || missed > counted {
		t.Errorf("%v requests: %v lines, which tell of %v more; %v are counted", asked, lines, missed, counted)
	}
}

// What a client lost is a warning, whatever is drawn and however quick it was.
func TestLostRequestsAreAlwaysTold(t *testing.T) {
	f := func(body string, answer fakeprovider.Answer, outcome string) {
		t.Helper()
		p := fakeprovider.Start(t)
		p.Handle(always(answer))
		r := start(t, serves(p), logging(0, time.Hour, 20))
		r.post(chat, body)
		eventually(t, "a warning", func() bool { return len(r.lines("request failed")) == 1 })
		if line := r.lines("request failed")[0]; line["level"] != "WARN" || line["outcome"] != outcome || line["error"] == nil {
			t.Errorf("%v", line)
		}
	}
	f(hello, fakeprovider.Fail(500, "internal", "x"), "error")
	f(helloSSE, fakeprovider.Events(chunk("a"), chunk("b")).CutInside(1, fakeprovider.RST), "truncated")
}
