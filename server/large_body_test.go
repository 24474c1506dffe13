package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/overload"
	"llmproxy/route"
	"llmproxy/server"
)

// weigher is a provider that answers with the SHA-256 of what it was sent, and
// knows how many requests it had at once. It keeps none of them.
type weigher struct {
	*httptest.Server
	now, most atomic.Int64
}

func newWeigher(t *testing.T) *weigher {
	w := &weigher{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, q *http.Request) {
		now := w.now.Add(1)
		defer w.now.Add(-1)
		for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, q.Body); err != nil {
			t.Errorf("a request is not whole: %v", err)
		}
		fmt.Fprintf(out, `{"sha256":"%x"}`, sum.Sum(nil))
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *weigher) set() *config.Set {
	set := &config.Set{Version: 1, Providers: []config.Provider{provider(1, "weigher", w.URL+"/v1")}, Credentials: serves().Credentials}
	set.Providers[0].ModelMapping = map[string]string{"gpt-4": "gpt-4"}
	return set
}

func bodyOf(size int) string {
	const head, tail = `{"model":"gpt-4","x":"`, `"}`
	return head + strings.Repeat("0123456789abcdef", size/16+1)[:size-len(head)-len(tail)] + tail
}

// A body of 50 MB that the limit allows arrives as it was sent; one byte more
// than the limit is refused without being read. R21.
func TestLargeBodies(t *testing.T) {
	const limit = 50 << 20
	w := newWeigher(t)
	r := start(t, w.set(), func(o *server.Options, b *route.Builder) {
		o.MaxBodyBytes, o.ReadTimeout = limit, time.Minute
		b.Client.Timeouts.Write, b.Client.Timeouts.FirstByte = time.Minute, time.Minute
	})
	body := bodyOf(limit)
	sum := sha256.Sum256([]byte(body))
	if got := r.post(chat, body); got.status != 200 || !strings.Contains(string(got.body), hex.EncodeToString(sum[:])) {
		t.Errorf("50 MB: %d %.200s", got.status, got.body)
	}
	// The client has sent as much as the HTTP server reads before it asks us.
	c := r.dialRaw(t)
	c.say(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chat, clientKey, limit+1, body[:8<<10]))
	if got, err := c.answer("POST"); err != nil || got.status != 413 || got.code(t) != "request_too_large" {
		t.Errorf("a byte more, little of it sent: %d %s (%v)", got.status, got.body, err)
	}
	if n := w.most.Load(); n != 1 {
		t.Errorf("the provider had %d requests at once", n)
	}
}

// Twenty large bodies at once: all arrive as they were sent, and what is held
// of them is bounded by the seats, because who waits for one has not been read.
// R21.
func TestManyLargeBodies(t *testing.T) {
	const seats, clients, size = 2, 20, 8 << 20
	w := newWeigher(t)
	l := overload.New(overload.Options{MaxConcurrent: seats, MaxQueued: clients, QueueTimeout: time.Minute})
	defer l.Close()
	r := start(t, w.set(), func(o *server.Options, b *route.Builder) {
		o.Limiter, o.MaxBodyBytes, o.ReadTimeout = l, size, time.Minute
		b.Client.Timeouts.Write, b.Client.Timeouts.FirstByte = time.Minute, time.Minute
	})
	body := bodyOf(size)
	sum := sha256.Sum256([]byte(body))
	before := live()
	watched := watchLive()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if got := r.post(chat, body); got.status != 200 || !strings.Contains(string(got.body), hex.EncodeToString(sum[:])) {
				t.Errorf("%d %.200s", got.status, got.body)
			}
		})
	}
	all.Wait()
	// A body that grows has its old buffer beside the new one, and a pool keeps
	// buffers for two collections.
	if most := watched() - before; most > clients*size*3/4 {
		t.Errorf("%d MiB were held of %d bodies of %d MiB, with %d seats", most>>20, clients, size>>20, seats)
	} else {
		t.Logf("%d MiB were held", most>>20)
	}
	if n := w.most.Load(); n > seats {
		t.Errorf("the provider had %d requests at once", n)
	}
}

// live is what the last collection left of the heap.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// watchLive looks at live again and again; the function it returns ends that
// and says what it was at most.
func watchLive() (most func() int64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for {
			most = max(most, live())
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}
