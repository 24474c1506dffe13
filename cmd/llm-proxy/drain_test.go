package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
)

// stage is a gateway with a provider whose streams say one word and wait for
// the test; a prompt that holds "endless" is never let go on, one that holds
// "silent" gets no answer at all.
type stage struct {
	*gatewaytest.Gateway
	key string

	mu    sync.Mutex // guards what follows
	gates []chan struct{}
	open  bool
}

func newStage(t *testing.T, o gatewaytest.Options) *stage {
	t.Helper()
	s := &stage{}
	fake := fakeprovider.Start(t, fakeprovider.Options{Keep: 16})
	fake.Handle(s.answer)
	s.Gateway = gatewaytest.Start(t, o)
	s.AddProvider(t, map[string]any{"provider_key": "p", "api_base": fake.URL(), "model_mapping": map[string]any{"m": "m"}})
	s.key = s.Key(t)
	return s
}

func (s *stage) answer(r *fakeprovider.Request) fakeprovider.Answer {
	a := fakeprovider.Reply{Text: []string{"one", "two"}}.Answer(r)
	body := string(r.Body)
	switch {
	case strings.Contains(body, "silent"):
		a.Hold = make(chan struct{})
	case strings.Contains(body, `"stream":true`):
		gate := make(chan struct{}, 1)
		gate <- struct{}{}
		a.Gate = gate
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case strings.Contains(body, "endless"):
		case s.open:
			close(gate)
		default:
			s.gates = append(s.gates, gate)
		}
	}
	return a
}

// letGo lets all streams but the endless ones go on to their ends.
func (s *stage) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	for _, gate := range s.gates {
		close(gate)
	}
}

// ask posts a chat request on a connection of the client's.
func (s *stage) ask(c *http.Client, prompt string, stream bool) (*http.Response, error) {
	body, _ := json.Marshal(map[string]any{"model": "m", "stream": stream, "messages": []any{map[string]any{"role": "user", "content": prompt}}})
	// Not a reader that net/http can rewind: nothing is sent a second time.
	q, err := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", io.MultiReader(strings.NewReader(string(body))))
	if err != nil {
		return nil, err
	}
	q.ContentLength = int64(len(body))
	q.Header.Set("Authorization", "Bearer "+s.key)
	q.Header.Set("Content-Type", "application/json")
	return c.Do(q)
}

// newClient has connections of its own.
func newClient(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// terminate asks the gateway to stop and waits until it does.
func (s *stage) terminate(t *testing.T) {
	t.Helper()
	s.Signal(t, syscall.SIGTERM)
	if !soon(func() bool { return strings.Contains(s.Output(), `"draining"`) }) {
		t.Fatal("the gateway does not drain")
	}
}

// read reads an answer to its end.
func read(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("after %q: %v", b, err)
	}
	return string(b)
}

// promptRace keeps the race detector from sleeping for a second at the end.
const promptRace = "exitcode=66 atexit_sleep_ms=0"

// TestDrainWithAThousandStreams (R33, R34): those that end in time end well, all others
// are told, and nobody's connection just breaks.
func TestDrainWithAThousandStreams(t *testing.T) {
	const grace = 3 * time.Second
	t.Parallel()
	s := newStage(t, gatewaytest.Options{Env: map[string]string{"SHUTDOWN_GRACE_SECS": "3", "LOG_LEVEL": "info", "OVERLOAD_DELAY_MS": "0", "GORACE": promptRace}})
	client := newClient(t)
	prompts := map[string]int{"short": 900, "endless": 100}
	texts := make(chan [2]string, 1000)
	var begun, reading, waiting sync.WaitGroup
	for prompt, n := range prompts {
		for range n {
			begun.Add(1)
			reading.Go(func() {
				resp, err := s.ask(client, prompt, true)
				if err != nil {
					begun.Done()
					t.Error(err)
					return
				}
				var one [1]byte
				_, _ = io.ReadFull(resp.Body, one[:])
				begun.Done()
				texts <- [2]string{prompt, read(t, resp, nil)}
			})
		}
	}
	begun.Wait()
	for range 10 {
		waiting.Go(func() {
			resp, err := s.ask(client, "silent", false)
			text := read(t, resp, err)
			if err == nil && (resp.StatusCode != 503 || !strings.Contains(text, `"overloaded"`)) {
				t.Errorf("waiting for an answer: %d %s", resp.StatusCode, text)
			}
		})
	}
	s.AwaitMetric(t, `llm_proxy_active_requests`, 1010)

	s.terminate(t)
	began := time.Now()
	s.letGo()
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(began)
	// The promise is a second; the rest is the race detector's and a busy machine's.
	if took < grace-time.Second || took > grace+4*time.Second {
		t.Errorf("it ended after %v, with a grace of %v", took, grace)
	}
	reading.Wait()
	waiting.Wait()
	close(texts)
	complete, told := 0, 0
	for answer := range texts {
		prompt, text := answer[0], answer[1]
		switch done := strings.HasSuffix(text, "data: [DONE]\n\n"); {
		case prompt == "short" && done:
			complete++
		case prompt == "endless" && !done && strings.Contains(text, `data: {"error":{`):
			told++
		default:
			t.Errorf("%s: …%s", prompt, text[max(0, len(text)-300):])
		}
	}
	t.Logf("%d streams complete, %d told of the end, %v after the signal", complete, told, took)
}

// TestDrainOnKeptAliveConnections (R33): who uses a connection during the drain is
// told to use it no more, and where else to try is left to the client.
func TestDrainOnKeptAliveConnections(t *testing.T) {
	t.Parallel()
	f := func(delay string, wantStatus int) {
		t.Helper()
		s := newStage(t, gatewaytest.Options{Env: map[string]string{"DRAIN_DELAY_SECS": delay}})
		stream, chat, probe, idle := newClient(t), newClient(t), newClient(t), newClient(t)
		running, err := s.ask(stream, "short", true)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*http.Client{chat, idle} {
			resp, err := s.ask(c, "warm", false)
			read(t, resp, err)
		}
		resp, err := probe.Get(s.URL + "/health/ready")
		read(t, resp, err)
		if resp.StatusCode != 200 || resp.Close {
			t.Fatalf("before: ready %d, close %v", resp.StatusCode, resp.Close)
		}

		s.terminate(t)
		resp, err = probe.Get(s.URL + "/health/ready")
		if read(t, resp, err); err != nil || resp.StatusCode != 503 || !resp.Close {
			t.Fatalf("delay %s: ready: %+v, %v", delay, resp, err)
		}
		resp, err = s.ask(chat, "again", false)
		text := read(t, resp, err)
		if err != nil || resp.StatusCode != wantStatus || !resp.Close {
			t.Fatalf("delay %s: a request: %s, %v, %+v", delay, text, err, resp)
		}
		if wantStatus == 503 && (resp.Header.Get("Retry-After") == "" || !strings.Contains(text, `"overloaded"`)) {
			t.Errorf("refused without a way out: %v %s", resp.Header, text)
		}
		refused := func() bool {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err == nil {
				conn.Close()
			}
			return err != nil
		}
		if wantStatus == 200 && refused() {
			t.Error("a new connection is refused during the delay")
		}
		if !soon(refused) {
			t.Error("new connections are still accepted")
		}
		s.letGo()
		if text := read(t, running, nil); !strings.HasSuffix(text, "data: [DONE]\n\n") {
			t.Errorf("the stream ended in %q", text)
		}
		if code := s.Wait(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	f("0", 503)
	f("2", 200)
}

// TestSecondSignal (R34) ends a drain at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s := newStage(t, gatewaytest.Options{Env: map[string]string{"SHUTDOWN_GRACE_SECS": "60"}, MayFail: true})
	resp, err := s.ask(newClient(t), "endless", true)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.terminate(t)
	began := time.Now()
	s.Signal(t, syscall.SIGTERM)
	s.Wait(t)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it ended %v after the second signal", took)
	}
}
