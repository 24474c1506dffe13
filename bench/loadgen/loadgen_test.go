package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llmproxy/internal/fakeprovider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is a plan of 40 requests in 200 ms.
var quick = Plan{Rate: 200, Time: 200 * time.Millisecond, Timeout: 10 * time.Second, Connections: 8, Model: "demo", PromptBytes: 10}

const completion = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}`

// start runs a provider that answers everything like this.
func start(t *testing.T, h fakeprovider.Handler) *fakeprovider.Provider {
	p := fakeprovider.Start(t)
	p.Handle(h)
	return p
}

func load(t *testing.T, p *fakeprovider.Provider, plan Plan) *Result {
	t.Helper()
	target, err := NewTarget(p.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), target, plan)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryRequestIsCountedOnceByWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	f := func(name string, plan Plan, h fakeprovider.Handler, right int64, faults map[string]int64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			p := start(t, h)
			r := load(t, p, plan)
			if r.Requests != 40 || r.Right != right || !maps.Equal(r.Faults, faults) || r.Wrong() != 40-right {
				t.Errorf("%d requests, %d right, faults %v, %d wrong; want %d right, %v", r.Requests, r.Right, r.Faults, r.Wrong(), right, faults)
			}
			if r.Latency.Count() != right || r.FirstByte.Count() != right {
				t.Errorf("%d latencies, %d first bytes", r.Latency.Count(), r.FirstByte.Count())
			}
			if got := p.Count(); got != 40 {
				t.Errorf("the provider was asked %d times", got)
			}
		})
	}
	always := func(a fakeprovider.Answer) fakeprovider.Handler {
		return func(*fakeprovider.Request) fakeprovider.Answer { return a }
	}
	everyFourth := func(a fakeprovider.Answer) fakeprovider.Handler {
		var n atomic.Int64
		return func(*fakeprovider.Request) fakeprovider.Answer {
			if n.Add(1)%4 == 0 {
				return a
			}
			return fakeprovider.OK(completion)
		}
	}
	data := fakeprovider.Data(`{"choices":[{"delta":{"content":"a"}}]}`)
	done := fakeprovider.Data("[DONE]")
	streams := quick
	streams.Stream = true

	f("right", quick, always(fakeprovider.OK(completion)), 40, nil)
	f("refused", quick, everyFourth(fakeprovider.Fail(429, "rate_limit_exceeded", "no")), 30, map[string]int64{"429 rate_limit_exceeded": 10})
	f("a code that is none", quick, always(fakeprovider.Status(500, `{"error":{"code":"sk-Secret 1"}}`)), 0, map[string]int64{"500": 40})
	f("no completion", quick, everyFourth(fakeprovider.OK(`{"choices":[]}`)), 30, map[string]int64{"200, but not a completion": 10})
	f("cut", quick, everyFourth(fakeprovider.OK(completion).CutInside(0, fakeprovider.FIN)), 30, map[string]int64{"broken off": 10})
	f("stream", streams, always(fakeprovider.Events(": ping\n\n", data, data, data, done)), 40, nil)
	f("stream with CRLF", streams, always(fakeprovider.Events(data, done).WithCRLF()), 40, nil)
	f("stream cut", streams, always(fakeprovider.Events(data, data, done).CutAfter(2, fakeprovider.FIN)), 0, map[string]int64{"200, but the stream was cut": 40})
	f("stream without its end", streams, always(fakeprovider.Events(data, data)), 0, map[string]int64{"200, but the stream was cut": 40})
	f("stream of nothing", streams, always(fakeprovider.Events(done)), 0, map[string]int64{"200, but the stream was cut": 40})
	f("stream with an error", streams, always(fakeprovider.Events(data, fakeprovider.Data(`{"error":{}}`), done)), 0, map[string]int64{"200, with an error in the stream": 40})
	f("stream refused", streams, always(fakeprovider.Fail(503, "overloaded", "no")), 0, map[string]int64{"503 overloaded": 40})
}

// TestAStallShowsInAllThatWereDue: the provider says nothing for half a second,
// once, with a single connection: 1 of 100 requests was under way, 50 were due
// meanwhile. All hundred are sent, and the half of them tells of it. A closed
// loop would show it in one.
func TestAStallShowsInAllThatWereDue(t *testing.T) {
	t.Parallel()
	const stall = 500 * time.Millisecond
	var n atomic.Int64
	p := start(t, func(*fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.OK(completion)
		if n.Add(1) == 20 {
			a.Delay = stall
		}
		return a
	})
	plan := quick
	plan.Rate, plan.Time, plan.Connections = 100, time.Second, 1
	r := load(t, p, plan)
	if r.Requests != 100 || r.Right != 100 || p.Count() != 100 {
		t.Fatalf("%d requests, %d right, %d sent: %v", r.Requests, r.Right, p.Count(), r.Faults)
	}
	if got := r.Latency.Quantile(0.99); got < stall*9/10 {
		t.Errorf("p99 %v hides a stall of %v", got, stall)
	}
	// Those due within the first 400 ms of the stall waited 100 ms or more.
	if got := r.Latency.Quantile(0.62); got < stall/5 {
		t.Errorf("p62 is %v: those that waited for the stall's end are missing", got)
	}
	if r.Waited < 40 {
		t.Errorf("only %d waited for the connection", r.Waited)
	}
}

func TestGapsAndFirstEventsOfStreams(t *testing.T) {
	t.Parallel()
	const first, gap = 60 * time.Millisecond, 30 * time.Millisecond
	data := fakeprovider.Data(`{"choices":[{}]}`)
	p := start(t, func(*fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.Events(data, data, data, fakeprovider.Data("[DONE]"))
		a.First, a.Gap = first, gap
		return a
	})
	plan := quick
	plan.Stream, plan.Connections = true, 40
	r := load(t, p, plan)
	if r.Right != 40 || r.FirstEvent.Count() != 40 || r.Gap.Count() != 80 {
		t.Fatalf("%d right, %d first events, %d gaps: %v", r.Right, r.FirstEvent.Count(), r.Gap.Count(), r.Faults)
	}
	// No time is shorter than the provider took; how much longer is the machine's.
	if r.FirstEvent.Quantile(0) < first || r.Gap.Quantile(0.5) < gap*3/4 || r.Latency.Quantile(0) < first+2*gap {
		t.Errorf("first event %v, gap %v, latency %v", r.FirstEvent.Quantile(0), r.Gap.Quantile(0.5), r.Latency.Quantile(0))
	}
	if r.FirstByte.Quantile(0.5) >= r.FirstEvent.Quantile(0.5) {
		t.Errorf("the first byte, %v, came after the first event, %v", r.FirstByte.Quantile(0.5), r.FirstEvent.Quantile(0.5))
	}
}

// TestWhoNeverAnswersIsGivenUpAndCounted: two connections wait for answers
// that do not come; the other requests find none free. Their waiting is in
// the times.
func TestWhoNeverAnswersIsGivenUpAndCounted(t *testing.T) {
	t.Parallel()
	p := start(t, func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Answer{Instead: fakeprovider.Silent}
	})
	plan := quick
	plan.Connections, plan.Timeout = 2, 300*time.Millisecond
	r := load(t, p, plan)
	if r.Requests != 40 || r.Right != 0 || r.Faults["timeout"]+r.Faults["not sent"] != 40 || r.Faults["timeout"] < 2 {
		t.Errorf("%d requests, %d right, %v", r.Requests, r.Right, r.Faults)
	}
	if r.Latency.Count() != 40 || r.Latency.Max() < plan.Timeout {
		t.Errorf("%d times, the longest %v", r.Latency.Count(), r.Latency.Max())
	}
}

// TestAConnectionThatWasClosedWhileIdleIsNoFault: the request goes over a new
// one, once, and is said to.
func TestAConnectionThatWasClosedWhileIdleIsNoFault(t *testing.T) {
	t.Parallel()
	p := start(t, func(q *fakeprovider.Request) fakeprovider.Answer {
		if q.OnConn > 1 {
			return fakeprovider.Answer{Instead: fakeprovider.FIN}
		}
		return fakeprovider.OK(completion)
	})
	plan := quick
	plan.Rate, plan.Connections = 50, 1
	r := load(t, p, plan)
	if r.Requests != 10 || r.Right != 10 || r.Reconnects != 9 {
		t.Errorf("%d requests, %d right, %d sent again: %v", r.Requests, r.Right, r.Reconnects, r.Faults)
	}
}

func TestTheWarmUpIsNotCountedButItsFaultsAre(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	p := start(t, func(*fakeprovider.Request) fakeprovider.Answer {
		if n.Add(1) <= 3 {
			return fakeprovider.Fail(500, "boom", "no")
		}
		return fakeprovider.OK(completion)
	})
	plan := quick
	plan.Connections, plan.Warm = 1, 100*time.Millisecond
	r := load(t, p, plan)
	if r.Requests != 40 || r.Right != 40 || r.WarmFaults != 3 || r.Wrong() != 3 || p.Count() != 60 {
		t.Errorf("%d requests, %d right, %d and %d wrong, %d sent", r.Requests, r.Right, r.WarmFaults, r.Wrong(), p.Count())
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	p := start(t, func(*fakeprovider.Request) fakeprovider.Answer { return fakeprovider.OK(completion) })
	target, err := NewTarget(p.URL(), "sk-client", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := quick
	plan.Model, plan.PromptBytes = `a "model"`, 300
	if _, err := Run(t.Context(), target, plan); err != nil {
		t.Fatal(err)
	}
	q := p.Next(t)
	var body struct {
		Model    string
		Stream   bool
		Messages []struct{ Role, Content string }
	}
	if err := json.Unmarshal(q.Body, &body); err != nil {
		t.Fatalf("%v in %s", err, q.Body)
	}
	if body.Model != plan.Model || body.Stream || len(body.Messages) != 1 || len(body.Messages[0].Content) != 300 {
		t.Errorf("sent %s", q.Body)
	}
	if q.Header.Get("Authorization") != "Bearer sk-client" || q.Path != "/v1/chat/completions" {
		t.Errorf("%s with %q", q.Path, q.Header.Get("Authorization"))
	}
}

func TestTheEndOfTheContextEndsARun(t *testing.T) {
	t.Parallel()
	p := start(t, func(*fakeprovider.Request) fakeprovider.Answer {
		return fakeprovider.Answer{Instead: fakeprovider.Silent}
	})
	target, err := NewTarget(p.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		p.Next(t)
		cancel(stop)
	}()
	plan := quick
	plan.Time, plan.Timeout = time.Hour, time.Hour
	if _, err := Run(ctx, target, plan); !errors.Is(err, stop) {
		t.Errorf("it ended with %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	f := func(address, addr, path string) {
		t.Helper()
		target, err := NewTarget(address, "", nil)
		switch {
		case err != nil && addr != "":
			t.Errorf("%s: %v", address, err)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the fault repeats it: %v", address, err)
		case err == nil && (target.addr != addr || target.path != path):
			t.Errorf("%s: %s%s; want %s%s", address, target.addr, target.path, addr, path)
		}
	}
	f("http://localhost:18000", "localhost:18000", "/v1/chat/completions")
	f("http://localhost:18000/", "localhost:18000", "/v1/chat/completions")
	f("https://example.com/v1", "example.com:443", "/v1/chat/completions")
	f("http://[::1]/api/v1/", "[::1]:80", "/api/v1/chat/completions")
	f("http://localhost/chat/completions", "localhost:80", "/chat/completions")
	f("localhost:18000", "", "")
	f("ftp://localhost", "", "")
	f("http://secret@localhost", "", "")
	f("http://localhost?key=secret", "", "")
	f("http://secret\x00", "", "")
}
