package fakeprovider

import (
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBytesOnTheWire(t *testing.T) {
	f := func(name string, a Answer, want string) {
		t.Helper()
		p := Start(t)
		p.Script(a)
		got, err := exchangeRaw(t, p, post("/v1/x", "{}"))
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v\nwant %q", name, got, err, want)
		}
	}
	f("whole", Answer{Parts: []string{"ab", "c"}, Ending: FIN},
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
	f("raw", Answer{Raw: "not HTTP", Ending: FIN}, "not HTTP")
	f("old", Answer{Proto: "HTTP/1.0", Framing: UntilClose, Parts: []string{"x"}},
		"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nx")
	f("interim", Answer{Interim: []string{"HTTP/1.1 103 Early Hints\r\n\r\n"}, Status: 204, Ending: FIN},
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	f("own length", Answer{Header: []string{"content-length: 9"}, Parts: []string{"x"}, Ending: FIN},
		"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 9\r\n\r\nx")
	f("missing", Answer{Parts: []string{"x"}, Missing: 4, Ending: FIN},
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nx")
	f("extra", Answer{Parts: []string{"x"}, Extra: "HTTP/1.1 200 poison", Ending: FIN},
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nxHTTP/1.1 200 poison")
	f("chunked and split", Answer{Framing: Chunked, Split: 2, Parts: []string{"abc"}, Ending: FIN},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
	f("no end", Answer{Framing: Chunked, NoEnd: true, Parts: []string{"a"}, Ending: FIN},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n")
	f("unframed", Answer{Framing: Unframed, Parts: []string{"a"}, Ending: FIN},
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na")
	f("cut after", Answer{Framing: Chunked, Parts: []string{"ab", "cd"}}.CutAfter(1, FIN),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
	f("cut inside", Answer{Framing: Chunked, Parts: []string{"ab", "cd"}}.CutInside(1, FIN),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n")
	f("cut before the last chunk", Answer{Framing: Chunked, Parts: []string{"ab"}}.CutAfter(1, FIN),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
	f("crlf", Answer{Framing: UntilClose, Parts: []string{Data("x")}}.WithCRLF(),
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: x\r\n\r\n")
	f("cr", Answer{Framing: UntilClose, Parts: []string{Data("x")}}.WithCR(),
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: x\r\r")
}

func TestReset(t *testing.T) {
	p := Start(t)
	p.Script(Answer{Framing: Chunked, Parts: []string{"a", "b"}}.CutAfter(1, RST))
	if got, err := exchangeRaw(t, p, post("/v1/x", "{}")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v, want a reset", got, err)
	}
}

func TestCharacterSplitOverWrites(t *testing.T) {
	p := Start(t)
	a := Events(Data(`{"x":"世界 🌍"}`))
	a.Split = 1
	p.Script(a)
	if _, body, err := fetch(t, p, "POST", "/v1/x", "{}"); err != nil || body != Data(`{"x":"世界 🌍"}`) {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestGzipThoughNotAsked(t *testing.T) {
	p := Start(t)
	p.Script(Answer{Gzip: true, Framing: Chunked, Parts: []string{"hello ", "there"}})
	resp, body, err := fetch(t, p, "POST", "/v1/x", "{}")
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("got %v, %v", resp, err)
	}
	zr, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(zr); err != nil || string(plain) != "hello there" {
		t.Errorf("got %q, %v", plain, err)
	}
}

func TestLimitedSaysWhenInBothSpellings(t *testing.T) {
	p := Start(t)
	p.Script(Limited(1500 * time.Millisecond))
	resp, body, err := fetch(t, p, "POST", "/v1/x", "{}")
	if err != nil || resp.StatusCode != 429 || !strings.Contains(body, "rate_limit_exceeded") {
		t.Fatalf("got %v %q, %v", resp, body, err)
	}
	if s, ms := resp.Header.Get("Retry-After"), resp.Header.Get("Retry-After-Ms"); s != "2" || ms != "1500" {
		t.Errorf("got %q and %q", s, ms)
	}
}

func TestDelaysAreKept(t *testing.T) {
	p := Start(t)
	const d = 20 * time.Millisecond
	p.Script(Answer{Delay: d, First: d, Gap: d, Framing: Chunked, Parts: []string{"a", "b"}})
	start := time.Now()
	if _, _, err := fetch(t, p, "POST", "/v1/x", "{}"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 3*d {
		t.Errorf("took %v, want at least %v", took, 3*d)
	}
	if sent := p.Next(t).SentAt(); sent[0].Sub(start) < 2*d || sent[1].Sub(sent[0]) < d {
		t.Errorf("parts went out at %v after %v", sent, start)
	}
}
