//go:build !race

package main

import (
	"io"
	"sync"
	"testing"

	"llmproxy/internal/gatewaytest"
)

// R24: a thousand open streams cost about 40 kB of the process's memory each,
// garbage included, and two descriptors; all of them end complete. 16 kB are the
// buffer that MAX_HEADER_BYTES sizes, 8 kB a stack. The race detector multiplies
// memory, so this is for programs without it.
func TestThousandOpenStreams(t *testing.T) {
	const streams, each = 1000, 48_000
	s := newStage(t, gatewaytest.Options{Env: map[string]string{"LOG_LEVEL": "error", "OVERLOAD_DELAY_MS": "0"}})
	for range 200 { // what is made once is not the streams'
		if status, answer := s.Post(t, "/v1/chat/completions", s.key, `{"model":"m","messages":[]}`); status != 200 {
			t.Fatal(status, answer)
		}
	}
	rss, fds := s.Metric(t, "process_resident_memory_bytes"), s.Metric(t, "process_open_fds")
	client := newClient(t)
	var begun, ended sync.WaitGroup
	for range streams {
		begun.Add(1)
		ended.Go(func() {
			resp, err := s.ask(client, "short", true)
			if err != nil {
				begun.Done()
				t.Error(err)
				return
			}
			first := make([]byte, 10)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				t.Error(err)
			}
			begun.Done()
			if text := read(t, resp, nil); len(text) < 20 || text[len(text)-len("data: [DONE]\n\n"):] != "data: [DONE]\n\n" {
				t.Errorf("not whole: %q", text)
			}
		})
	}
	begun.Wait()
	s.AwaitMetric(t, "llm_proxy_active_requests", streams)
	one := (s.Metric(t, "process_resident_memory_bytes") - rss) / streams
	opened := s.Metric(t, "process_open_fds") - fds
	t.Logf("a stream costs %.1f kB of memory; %v descriptors for %d streams", one/1e3, opened, streams)
	if one > each {
		t.Errorf("%.0f bytes a stream", one)
	}
	if opened < 2*streams || opened > 2*streams+8 {
		t.Errorf("%v descriptors", opened)
	}
	s.letGo()
	ended.Wait()
	s.AwaitMetric(t, "llm_proxy_active_requests", 0)
	if n := s.Metric(t, `llm_proxy_requests_total{status_code="200"}`); n != streams+200 {
		t.Errorf("%v requests of %d", n, streams+200)
	}
}
