package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// A gateway that has no file descriptor left goes on serving the connections it
// has, neither spins nor ends, counts it, and accepts again when there are
// descriptors. R48.
func TestOutOfDescriptors(t *testing.T) {
	fake := fakeprovider.Start(t)
	g := gatewaytest.Start(t)
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), "model_mapping": map[string]any{"m": "m"}})
	key := g.Key(t)
	ask := func(when string) {
		t.Helper()
		if status, body := g.Post(t, "/v1/chat/completions", key, `{"model":"m","messages":[]}`); status != http.StatusOK {
			t.Errorf("%s: %d %s", when, status, body)
		}
	}
	ask("at first") // it has a connection to the provider, and one from here, from now on
	limitDescriptors(t, g.Pid(), openDescriptors(t, g.Pid())+20)

	var waiting []net.Conn
	for range 100 { // the kernel accepts them all, the gateway cannot
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		waiting = append(waiting, c)
	}
	failing := func() bool { return g.Metric(t, "llm_proxy_accept_errors_total") >= 3 }
	if !soon(failing) {
		t.Fatalf("no accept failed:\n%s", g.Output())
	}
	used, began := processorTime(t, g.Pid()), time.Now()
	<-time.After(time.Second) // nothing but the failing accepts
	if used, took := processorTime(t, g.Pid())-used, time.Since(began); used > took/2 {
		t.Errorf("used %v of processor time in %v", used, took)
	}
	ask("without descriptors, on a connection that is there")

	for _, c := range waiting {
		c.Close()
	}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := fresh.Get(g.URL + "/health")
	if err != nil {
		t.Fatalf("with descriptors again: %v", err)
	}
	resp.Body.Close()
	if !strings.Contains(g.Output(), "cannot accept connections") || !soon(func() bool { return strings.Contains(g.Output(), "accepting connections again") }) {
		t.Errorf("the log does not tell of it:\n%s", g.Output())
	}
	ask("at last")
}

// A gateway whose memory runs out lets nothing more in, says when to come back,
// finishes what it has, and opens again when that is done. It does not die. R49.
func TestOutOfMemory(t *testing.T) {
	const bodies, size = 24, 4 << 20
	fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
	hold := make(chan struct{})
	fake.Handle(func(q *fakeprovider.Request) fakeprovider.Answer {
		a := fakeprovider.OpenAI(q)
		if len(q.Body) > size/2 {
			a.Hold = hold
		}
		return a
	})
	g := gatewaytest.Start(t, gatewaytest.Options{Env: map[string]string{"GOMEMLIMIT": strconv.Itoa(bodies * size / 2), "OVERLOAD_DELAY_MS": "0"}})
	g.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), "model_mapping": map[string]any{"m": "m"}})
	key := g.Key(t)
	large := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"%s"}]}`, strings.Repeat("x", size))
	statuses := make(chan int, bodies)
	for range bodies {
		go func() {
			status, _, err := post(g.URL+"/v1/chat/completions", key, large)
			if err != nil {
				status = -1
			}
			statuses <- status
		}()
	}
	var refused http.Header
	if !soon(func() bool {
		status, header, err := post(g.URL+"/v1/chat/completions", key, `{"model":"m","messages":[]}`)
		if err != nil {
			t.Fatalf("the gateway does not answer: %v\n%s", err, g.Output())
		}
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Fatalf("a small request: %d", status)
		}
		refused = header
		return status == http.StatusServiceUnavailable
	}) {
		t.Fatal("with twice as much in hand as there is memory, more comes in")
	}
	if refused.Get("Retry-After") == "" {
		t.Errorf("nothing says when to come back: %v", refused)
	}
	if n := g.Metric(t, `llm_proxy_overload_rejected_total{reason="memory"}`); n < 1 {
		t.Errorf("%v refusals for memory are counted", n)
	}
	if status, _ := g.Get(t, "/health", ""); status != http.StatusOK {
		t.Errorf("/health: %d", status)
	}
	close(hold)
	in := 0
	for range bodies {
		switch status := <-statuses; status {
		case http.StatusOK:
			in++
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("a large request ended with %d", status)
		}
	}
	if in == 0 {
		t.Error("none of what was let in was answered")
	}
	if !soon(func() bool {
		status, _, err := post(g.URL+"/v1/chat/completions", key, `{"model":"m","messages":[]}`)
		return err == nil && status == http.StatusOK
	}) {
		t.Error("it does not open again")
	}
}

// post is one request on a connection of its own.
func post(url, key, body string) (int, http.Header, error) {
	q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Authorization", "Bearer "+key)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := c.Do(q)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, resp.Header, resp.Body.Close()
}

func limitDescriptors(t *testing.T, pid, n int) {
	t.Helper()
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: uint64(n)}, nil); err != nil {
		t.Fatal(err)
	}
}

func openDescriptors(t *testing.T, pid int) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// processorTime is what a process has used, in user and system time.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	total := 0
	for _, i := range []int{11, 12} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return time.Duration(total) * 10 * time.Millisecond
}
