package server_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"llmproxy/downstream"
	"llmproxy/internal/fakeprovider"
	"llmproxy/route"
	"llmproxy/server"
)

// Thousands of connections that have sent half a head, or half a body, hold
// nothing but themselves: good clients have no failure meanwhile, and all of
// them are dropped when their time is over. H04.
func TestThousandsOfSlowConnections(t *testing.T) {
	const limit = time.Second * slack // to send a request; all must be open by then
	n := connectionsFor(t, 5000)
	p := fakeprovider.Start(t, fakeprovider.Options{Keep: 1})
	r := start(t, serves(p), func(o *server.Options, _ *route.Builder) { o.ReadTimeout, o.IdleTimeout = limit, limit })
	address, ln := r.alsoOn(t, downstream.Options{WriteTimeout: 5 * time.Second})
	request := httpRequest(chat, hello)
	parts := []string{request[:20], request[:len(request)-len(hello)], request[:len(request)-5], ""}
	all := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for i := range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("after %d connections: %v", i, err)
		}
		all = append(all, c)
		if _, err := io.WriteString(c, parts[i%len(parts)]); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			if got := r.post(chat, hello); got.status != 200 {
				t.Errorf("a good client beside %d slow ones: %d %s", i, got.status, got.body)
			}
		}
	}
	good := p.Count()
	for _, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(limit + 10*time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a slow connection is not dropped")
		}
	}
	eventually(t, "the gateway has closed all", func() bool { return ln.Stats().Open == 0 })
	if ln.Stats().Accepted != int64(n) || p.Count() != good || good != (n+99)/100 {
		t.Errorf("%d connections of %d, %d requests of %d", ln.Stats().Accepted, n, p.Count(), good)
	}
	eventually(t, "nothing is in flight", func() bool { return r.metric("llm_proxy_active_requests") == 0 })
}

// connectionsFor returns how many connections this process may have with
// itself, want at most: each takes two descriptors.
func connectionsFor(t *testing.T, want int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	have := int(min(limit.Cur, 1<<20))/2 - 200 // Go has raised it to what is allowed
	if have < 100 {
		t.Skipf("only %d descriptors", limit.Cur)
	}
	return min(want, have)
}
