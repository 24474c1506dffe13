package server_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
)

// zipped is size bytes made of more, compressed: a hundredth of them or less.
func zipped(t *testing.T, begin, more string, size int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, 3)
	if err != nil {
		t.Fatal(err)
	}
	block := []byte(strings.Repeat(more, 1+(64<<10)/len(more)))
	_, err = io.WriteString(w, begin)
	for n := 0; n < size && err == nil; n += len(block) {
		_, err = w.Write(block)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// bomb answers with compressed bytes that nobody asked to be compressed.
func bomb(contentType, data string) fakeprovider.Answer {
	return fakeprovider.Answer{
		Header: []string{"Content-Type: " + contentType, "Content-Encoding: gzip"},
		Parts:  []string{data}, Split: 16 << 10, Framing: fakeprovider.Chunked,
	}
}

// peakHeap returns by how much the heap grew at most while f ran, garbage and
// all.
func peakHeap(f func()) int64 {
	before := int64(heap())
	var most atomic.Int64
	stop, stopped := make(chan bool), make(chan bool)
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most.Store(max(most.Load(), int64(m.HeapAlloc)))
	}
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				look()
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	look()
	return most.Load() - before
}

// What a provider compressed a hundredfold costs its own length and no more:
// an error is cut, an event ends the stream, and an answer that a client wants
// goes through in pieces. H09.
func TestCompressedBombsOfProviders(t *testing.T) {
	const size = 16 << 20
	const bound = 10 << 20
	f := func(name, body string, a fakeprovider.Answer, check func(t *testing.T, resp *http.Response, got int64, head string, err error)) {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Start(t)
			r := start(t, serves(p))
			p.Handle(always(a))
			grown := peakHeap(func() {
				resp, err := http.DefaultClient.Do(r.request("POST", chat, body))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				head := make([]byte, 4000)
				n, err := io.ReadFull(resp.Body, head)
				rest := int64(0)
				if err == nil {
					rest, err = io.Copy(io.Discard, resp.Body)
				}
				if err == io.ErrUnexpectedEOF && resp.ContentLength == int64(n) || err == io.EOF {
					err = nil // shorter than head
				}
				check(t, resp, int64(n)+rest, string(head[:n]), err)
			})
			t.Logf("%d MB of %d MB on the heap at most", grown>>20, size>>20)
			if grown > bound {
				t.Errorf("%d MB of heap", grown>>20)
			}
			p.Handle(nil)
			if got := r.post(chat, hello); got.status != 200 {
				t.Errorf("the next answer: %d %s", got.status, got.body)
			}
		})
	}
	f("a whole answer", hello, bomb("application/json", zipped(t, `{"x":"`, "x", size)), func(t *testing.T, resp *http.Response, got int64, head string, err error) {
		if resp.StatusCode != 200 || got < size || err != nil || !strings.HasPrefix(head, `{"x":"xxx`) || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%d, %d bytes (%v)", resp.StatusCode, got, err)
		}
	})
	failed := bomb("application/json", zipped(t, "", "x", size))
	failed.Status = 400
	f("an error", hello, failed, func(t *testing.T, resp *http.Response, got int64, _ string, err error) {
		if resp.StatusCode != 400 || got > 512<<10 || err != nil {
			t.Errorf("%d, %d bytes (%v)", resp.StatusCode, got, err)
		}
	})
	f("an event", helloSSE, bomb("text/event-stream", zipped(t, chunk("a")+"data: ", "x", size)), func(t *testing.T, resp *http.Response, got int64, head string, err error) {
		if h := listen(t, []byte(head)); resp.StatusCode != 200 || h.text != "a" || h.failed != "upstream_stream_error" || got > 2000 {
			t.Errorf("%d %+v, %d bytes (%v)", resp.StatusCode, h, got, err)
		}
	})
	f("an event before all others", helloSSE, bomb("text/event-stream", zipped(t, "data: ", "x", size)), func(t *testing.T, resp *http.Response, got int64, head string, err error) {
		if resp.StatusCode != 502 || got > 2000 {
			t.Errorf("%d, %d bytes (%v) %s", resp.StatusCode, got, err, head)
		}
	})
	f("many events", helloSSE, bomb("text/event-stream", zipped(t, chunk("a"), ": "+strings.Repeat("x", 1000)+"\n\n", size)), func(t *testing.T, resp *http.Response, got int64, _ string, err error) {
		if resp.StatusCode != 200 || got < size/2 {
			t.Errorf("%d, %d bytes (%v)", resp.StatusCode, got, err)
		}
	})
}

// A compressed request is refused before a byte of it is looked at, whatever
// it would become; so nothing is decompressed for clients at all. H09.
func TestCompressedRequestsAreRefused(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p))
	data := zipped(t, `{"model":"gpt-4","x":"`, "x", 16<<20)
	for _, coding := range []string{"gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "unheard-of"} {
		grown := peakHeap(func() {
			c := r.dialRaw(t)
			c.say(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", chat, clientKey, coding, len(data), data))
			if got, err := c.answer("POST"); err != nil || got.status != 415 || !c.closed() {
				t.Errorf("%s: %d %s (%v)", coding, got.status, got.body, err)
			} else {
				got.code(t)
			}
		})
		if grown > 4<<20 {
			t.Errorf("%s: %d MB of heap", coding, grown>>20)
		}
	}
	if p.Count() != 0 {
		t.Errorf("the provider was asked %d times", p.Count())
	}
	if got := r.post(chat, hello, "Content-Encoding: identity"); got.status != 200 {
		t.Errorf("identity: %d %s", got.status, got.body)
	}
}
