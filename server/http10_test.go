package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"llmproxy/internal/fakeprovider"
)

// postHTTP10 asks as a client that speaks HTTP/1.0 does.
func (r *rig) postHTTP10(body string) (answer, []string) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST "+chat+" HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer "+clientKey+
		"\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	return a, resp.TransferEncoding
}

// A client that cannot read chunks gets a stream when it is whole, if it is no
// longer than an answer may be that is kept; a longer one is an error, not memory.
func TestStreamForHTTP10IsBounded(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), small)
	f := func(words, status int) {
		t.Helper()
		p.Script(fakeprovider.Events(append(chunks(strings.SplitAfter(strings.Repeat("word ", words), " ")...), finish, doneMark)...))
		got, coding := r.postHTTP10(helloSSE)
		if got.status != status || got.err != nil || len(coding) > 0 {
			t.Errorf("%d words: %d %v %s (%v)", words, got.status, coding, got.body, got.err)
		}
		if status == 200 && !listen(t, got.body).complete() {
			t.Errorf("%d words: %s", words, got.body)
		}
	}
	f(3, 200)
	f(300, 502)
	if n := r.metric("llm_proxy_limit_hits_total", `limit="max_answer_bytes"`); n != 1 {
		t.Errorf("counted %v times", n)
	}
	if n := r.metric("llm_proxy_requests_total", `status_code="502"`); n != 1 {
		t.Errorf("%v requests ended with 502", n)
	}
}

// An answer that is too long to be kept streams through to such a client if its
// length is known. If not it would need chunks, whose framing the client took for
// the answer's bytes; it is an error.
func TestLongAnswerForHTTP10(t *testing.T) {
	p := fakeprovider.Start(t)
	r := start(t, serves(p), small)
	want := "{" + strings.Repeat(" ", 4998) + "}"
	p.Script(fakeprovider.OK(want))
	if got, coding := r.postHTTP10(hello); got.status != 200 || string(got.body) != want || len(coding) > 0 {
		t.Errorf("of known length: %d %v with %d bytes", got.status, coding, len(got.body))
	}
	p.Script(fakeprovider.Answer{Raw: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + want + "\r\n0\r\n\r\n"})
	got, coding := r.postHTTP10(hello)
	if got.status != 502 || got.code(t) != "upstream_error" || len(coding) > 0 {
		t.Errorf("of unknown length: %d %v %.100s", got.status, coding, got.body)
	}
	if rec := r.sink.wait(t, 2); rec.Status != 502 {
		t.Errorf("recorded %+v", rec)
	}
}
