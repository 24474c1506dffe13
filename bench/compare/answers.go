package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"llmproxy/bench/testbed"
)

// reply is what an answer says: what must be the same through every server.
type reply struct {
	content string
	finish  string
	counted bool // with a usage
	done    bool // a stream's [DONE]
}

// part is an answer's body, or the data of a stream's event.
type part struct {
	Choices []struct {
		Message, Delta struct{ Content string }
		FinishReason   string `json:"finish_reason"`
	}
	Usage struct {
		TotalTokens int `json:"total_tokens"`
	}
}

// sameAnswers reads one answer of every server to its last member, before any
// is measured: it must say what the provider says. Under load only what costs
// little is checked, the length too: it returns each server's, for some write
// an answer anew.
func sameAnswers(ctx context.Context, o options, provider string, servers []*testbed.Server) (lengths []int, err error) {
	want, _, err := ask(ctx, o, &testbed.Server{Name: "provider", Addr: provider, Key: "none"})
	if err != nil {
		return nil, err
	}
	if want.content == "" || want.finish == "" || !want.counted || want.done != (o.load == "stream") {
		return nil, fmt.Errorf("BUG: the provider's own answer is no good: %+.200v", want)
	}
	for _, s := range servers {
		got, length, err := ask(ctx, o, s)
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, fmt.Errorf("%s answers %+.200v; the provider %+.200v", s.Name, got, want)
		}
		lengths = append(lengths, length)
	}
	return lengths, nil
}

// ask sends a server one request, and reads the answer and its length.
func ask(ctx context.Context, o options, s *testbed.Server) (r reply, length int, err error) {
	body, err := fetch(ctx, o, s)
	length = len(body)
	if err == nil && o.load == "whole" {
		line := bytes.NewBufferString("data: ")
		err = json.Compact(line, body)
		body = line.Bytes()
	}
	if err == nil {
		r, err = read(body)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s.Name, err)
	}
	return r, length, err
}

func fetch(ctx context.Context, o options, s *testbed.Server) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(s.ChatRequest(o.load == "stream", o.request)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	return body, err
}

// read puts the events of a stream together; a whole answer is a stream of one.
func read(stream []byte) (r reply, err error) {
	for line := range bytes.Lines(stream) {
		data, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			r.done = true
			continue
		}
		var p part
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return r, fmt.Errorf("%w in %.200s", err, data)
		}
		for _, c := range p.Choices {
			r.content += c.Message.Content + c.Delta.Content
			r.finish += c.FinishReason
		}
		r.counted = r.counted || p.Usage.TotalTokens > 0
	}
	return r, nil
}
