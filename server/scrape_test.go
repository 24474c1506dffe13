package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/downstream"
	"llmproxy/internal/fakeprovider"
	"llmproxy/metrics"
	"llmproxy/route"
	"llmproxy/server"
)

// crowded is a rig whose page has some 2.5 MB, more than sockets hold.
func crowded(t *testing.T, scrapeTime time.Duration, change ...func(*server.Options, *route.Builder)) *rig {
	change = append(change, func(o *server.Options, _ *route.Builder) { o.ScrapeTime = scrapeTime })
	r := start(t, serves(fakeprovider.Start(t)), change...)
	for i := range 1000 {
		k := metrics.Key{Model: r.metrics.Label(fmt.Sprint("model ", i)), APIKey: r.metrics.Label("a key")}
		r.metrics.Requests(k).Done(200, time.Second)
	}
	return r
}

// isWholePage reports whether a page has its first families and its last.
func isWholePage(page string) bool {
	return strings.Count(page, "llm_proxy_request_duration_seconds_count{") >= 1000 && strings.HasSuffix(page, "\n") && strings.Contains(page, "\nprocess_open_fds ")
}

// scraper asks for the page and takes nothing of it yet.
func scraper(t *testing.T, address, version string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
	if _, err := io.WriteString(c, "GET /metrics HTTP/"+version+"\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// take reads what the scraper asked for to its end.
func take(t *testing.T, c net.Conn) (*http.Response, string, error) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// The page is the same in chunks, on a connection that goes on to serve, and
// whole for a client that cannot read those; HEAD makes none.
func TestPageOfMetricsByVersion(t *testing.T) {
	t.Parallel()
	r := crowded(t, time.Minute)
	f := func(version string, chunked bool) {
		t.Helper()
		resp, page, err := take(t, scraper(t, r.address, version))
		if err != nil || resp.StatusCode != 200 || !isWholePage(page) {
			t.Errorf("HTTP/%s: %d, %d bytes, %v", version, resp.StatusCode, len(page), err)
		}
		if got := len(resp.TransferEncoding) > 0; got != chunked || !chunked && resp.ContentLength != int64(len(page)) {
			t.Errorf("HTTP/%s: %v, Content-Length %d", version, resp.TransferEncoding, resp.ContentLength)
		}
		if kind := resp.Header.Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("HTTP/%s: %s", version, kind)
		}
	}
	f("1.1", true)
	f("1.0", false)

	for range 2 * 8 { // more often than there are places
		if got := r.do(r.request("HEAD", "/metrics", "")); got.status != 200 || len(got.body) > 0 || got.header.Get("Content-Type") == "" {
			t.Fatalf("HEAD: %d %v", got.status, got.header)
		}
		if got := r.get("/metrics"); got.status != 200 || got.err != nil || !isWholePage(string(got.body)) {
			t.Fatalf("GET after HEAD: %d, %d bytes, %v", got.status, len(got.body), got.err)
		}
	}
}

// Scrapers that read nothing hold nobody up while there are fewer of them than
// places; then the next is told to come again. Each is cut off when its time is
// over, and leaves its place. Both limits are counted. R16.
func TestSlowScrapersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	const places, within = 5, 3 * time.Second
	r := crowded(t, within, func(o *server.Options, _ *route.Builder) { o.MaxScrapes = places })
	address, ln := r.alsoOn(t, downstream.Options{WriteTimeout: time.Minute})
	slow := func(n int) {
		for i := range n {
			c := scraper(t, address, []string{"1.1", "1.0"}[i%2])
			if _, err := io.ReadFull(c, make([]byte, 100)); err != nil { // it has its place
				t.Fatal(err)
			}
		}
	}
	slow(places - 1)
	if got := r.get("/metrics"); got.status != 200 || got.err != nil || !isWholePage(string(got.body)) {
		t.Fatalf("in the last place: %d, %d bytes, %v", got.status, len(got.body), got.err)
	}
	slow(1)
	if got := r.get("/metrics"); got.status != 503 || got.code(t) != "overloaded" || got.header.Get("Retry-After") == "" {
		t.Errorf("without a place: %d %v", got.status, got.header)
	}
	if got := r.post(chat, hello); got.status != 200 {
		t.Errorf("a request beside them: %d %s", got.status, got.body)
	}
	eventually(t, "all are cut off", func() bool { return ln.Stats().Open == 0 })
	if got := r.get("/metrics"); got.status != 200 || !isWholePage(string(got.body)) {
		t.Errorf("after them: %d", got.status)
	}
	hits := func(limit string) float64 { return r.metric("llm_proxy_limit_hits_total", `limit="`+limit+`"`) }
	if refused, cut := hits("max_scrapes"), hits("scrape_timeout_secs"); refused != 1 || cut != places {
		t.Errorf("%v refused and %v cut off are counted, want 1 and %d", refused, cut, places)
	}
}

// A client can see that its page broke off: there is no last chunk, or less
// than the length that was told.
func TestBrokenPageOfMetricsIsSeen(t *testing.T) {
	t.Parallel()
	r := crowded(t, 100*time.Millisecond)
	address, ln := r.alsoOn(t, downstream.Options{WriteTimeout: time.Minute})
	f := func(version string) {
		t.Helper()
		c := scraper(t, address, version)
		eventually(t, "it is cut off", func() bool { return ln.Stats().Open == 0 })
		if _, page, err := take(t, c); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("HTTP/%s: %d bytes, %v", version, len(page), err)
		}
	}
	f("1.1")
	f("1.0")
}

// Many who scrape at once get whole pages, one piece of one of them at a time.
func TestScrapersTogether(t *testing.T) {
	t.Parallel()
	r := crowded(t, time.Minute)
	pages := make(chan error, 8)
	for range cap(pages) {
		c := scraper(t, r.address, "1.1")
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				var page []byte
				if page, err = io.ReadAll(resp.Body); err == nil && !isWholePage(string(page)) {
					err = errors.New("not whole")
				}
			}
			pages <- err
		}()
	}
	for range cap(pages) {
		if err := <-pages; err != nil {
			t.Error(err)
		}
	}
}

// A panic while a page is sent ends its connection and nothing else: the turn to
// make pages is given on. It once ended the process, because that was unlocked twice.
func TestPanicWhileAPageIsSentIsContained(t *testing.T) {
	t.Parallel()
	r := crowded(t, time.Minute)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &breakableListener{Listener: inner}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ln) }()
	t.Cleanup(func() {
		r.shutdown(100 * time.Millisecond)
		<-served
	})
	ask := func() (string, error) {
		resp, err := http.ReadResponse(bufio.NewReader(scraper(t, inner.Addr().String(), "1.1")), nil)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		return string(page), err
	}
	ln.broken.Store(true)
	for range 2 * 8 { // more often than there are places
		if page, err := ask(); err == nil {
			t.Fatalf("it did not break off: %d bytes", len(page))
		}
	}
	ln.broken.Store(false)
	if n := r.metric("llm_proxy_panics_total"); n != 2*8 {
		t.Errorf("%v panics are counted", n)
	}
	if page, err := ask(); err != nil || !isWholePage(page) {
		t.Errorf("after it: %d bytes, %v", len(page), err)
	}
}

// breakableListener accepts connections that panic, when it is broken, as they
// are written to.
type breakableListener struct {
	net.Listener
	broken atomic.Bool
}

func (l *breakableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &breakableConn{Conn: c, broken: &l.broken}, nil
}

type breakableConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c *breakableConn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		panic("a connection that breaks")
	}
	return c.Conn.Write(b)
}
