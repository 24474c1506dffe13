package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"llmproxy/bench/testbed"
)

// A server whose answer does not say what the provider's says is not measured,
// however it is written; one that writes it anew has a length of its own.
func TestSameAnswers(t *testing.T) {
	serve := func(status int, body string) *testbed.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return self(t, strings.TrimPrefix(s.URL, "http://"))
	}
	f := func(load, provider string, status int, server, wantErr string) {
		t.Helper()
		lengths, err := sameAnswers(t.Context(), options{load: load}, serve(200, provider).Addr, []*testbed.Server{serve(status, server)})
		if wantErr == "" && (err != nil || lengths[0] != len(server)) || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Fatalf("%s: %v (%v); want %q", server, lengths, err, wantErr)
		}
	}
	const whole = `{"choices":[{"message":{"content":"ab"},"finish_reason":"stop"}],"usage":{"total_tokens":3}}`
	f("whole", whole, 200, whole, "")
	f("whole", whole, 200, strings.ReplaceAll(whole, ",", ",\n "), "")
	f("whole", whole, 200, strings.Replace(whole, "ab", "a", 1), "self answers")
	f("whole", whole, 200, strings.Replace(whole, "usage", "used", 1), "self answers")
	f("whole", whole, 200, "", "unexpected end")
	f("whole", whole, 503, whole, "503")
	f("whole", "{}", 200, whole, "BUG")

	const stream = `data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}` + "\n\n" +
		`data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"choices":[],"usage":{"total_tokens":3}}` + "\n\n"
	const done = "data: [DONE]\n\n"
	f("stream", stream+done, 200, stream+done, "")
	f("stream", stream+done, 200, ": hello\n\n"+stream+done, "")
	f("stream", stream+done, 200, stream, "self answers")
	f("stream", stream+done, 200, "data: {\n\n", "in {")
}
