package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"llmproxy/internal/gatewaytest"
)

// traffic is 500 requests a second from clients that repeat nothing: half of
// them on a new connection each, half on connections that they keep, some of
// which rest longer between two requests than a drain waits.
type traffic struct {
	stop    chan struct{}
	clients sync.WaitGroup

	mu     sync.Mutex // guards what follows
	counts map[string]int
}

func startTraffic(t *testing.T, s *stage) *traffic {
	l := &traffic{stop: make(chan struct{}), counts: map[string]int{}}
	f := func(n int, every time.Duration, keep bool) {
		for i := range n {
			c := newClient(t)
			c.Transport.(*http.Transport).DisableKeepAlives = !keep
			l.clients.Go(func() { l.client(s, c, every, time.Duration(i)*every/time.Duration(n)) })
		}
	}
	f(16, 64*time.Millisecond, false)
	f(15, 64*time.Millisecond, true)
	f(12, 750*time.Millisecond, true)
	return l
}

func (l *traffic) client(s *stage, c *http.Client, every, first time.Duration) {
	next := time.NewTimer(first)
	defer next.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-next.C:
			next.Reset(every)
			l.count(s.once(c))
		}
	}
}

// once makes a request and says what came of it.
func (s *stage) once(c *http.Client) string {
	resp, err := s.ask(c, "steady", false)
	if err != nil {
		at := strings.LastIndex(err.Error(), ": ")
		return "broken" + err.Error()[max(0, at):]
	}
	defer resp.Body.Close()
	var one [64]byte
	for err = nil; err == nil; {
		_, err = resp.Body.Read(one[:])
	}
	if err.Error() != "EOF" {
		return "cut: " + err.Error()
	}
	return fmt.Sprint(resp.StatusCode)
}

func (l *traffic) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *traffic) asked() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.counts {
		n += c
	}
	return n
}

// goesOn waits until so many more requests have been made.
func (l *traffic) goesOn(t *testing.T, more int) {
	t.Helper()
	want := l.asked() + more
	if !soon(func() bool { return l.asked() >= want }) {
		t.Fatal("the traffic stands still")
	}
}

// TestRestartUnderLoad (R35) starts a process beside the old one, on the same port,
// and stops the old one, twice. With a delay of the drain nobody may notice;
// without one kept-alive connections are refused in words, but for the rare
// request that crosses the end of an idle connection.
func TestRestartUnderLoad(t *testing.T) {
	f := func(name string, refused bool, next func(port string) gatewaytest.Options) {
		t.Helper()
		o := next("0")
		o.Dir = t.TempDir()
		s := newStage(t, o)
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
		load := startTraffic(t, s)
		load.goesOn(t, 200)
		old := s.Gateway
		for range 2 {
			o = next(port)
			o.Dir = old.Dir
			newer := gatewaytest.Start(t, o)
			load.goesOn(t, 100)
			if code := old.Stop(t); code != 0 {
				t.Errorf("%s: exit code %d", name, code)
			}
			old = newer
			load.goesOn(t, 200)
		}
		close(load.stop)
		load.clients.Wait()
		old.Stop(t) // it would take the next ones' connections
		t.Logf("%s: %v", name, load.counts)
		good := load.counts["200"]
		if refused {
			const crossed = 3
			good = min(good+load.counts["503"]+crossed, load.asked())
		}
		if good != load.asked() {
			t.Errorf("%s: %v", name, load.counts)
		}
	}

	shared, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := shared.(*net.TCPListener).File()
	shared.Close() // the socket lives on
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	passed := func(delay string) func(string) gatewaytest.Options {
		return func(string) gatewaytest.Options {
			return gatewaytest.Options{Socket: socket, Env: map[string]string{"DRAIN_DELAY_SECS": delay, "OVERLOAD_DELAY_MS": "0", "GORACE": promptRace}}
		}
	}
	reused := func(delay string) func(string) gatewaytest.Options {
		return func(port string) gatewaytest.Options {
			return gatewaytest.Options{Env: map[string]string{
				"PORT": port, "REUSE_PORT": "true", "DRAIN_DELAY_SECS": delay, "OVERLOAD_DELAY_MS": "0", "GORACE": promptRace,
			}}
		}
	}
	f("socket passed on, delay 1", false, passed("1"))
	f("port reused, delay 1", false, reused("1"))
	f("socket passed on, no delay", true, passed("0"))
}
