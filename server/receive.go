package server

import (
	"bytes"
	"fmt"
	"io"

	"llmproxy/upstream"
)

// receive takes the answer up to the commit point: an error answer or a short
// whole one entirely, a stream to its first data event, a long answer to
// MaxAnswerBytes. The error is a reason to ask another provider or, for a
// *spokeError, an answer that the client may get.
func (x *exchange) receive() error {
	status := x.attempt.Status()
	if status/100 != 2 {
		return x.receiveError(status)
	}
	x.status = status
	if isEventStream(x.attempt.Header().Value("content-type")) {
		return x.receiveEvents()
	}
	return x.receiveAnswer()
}

// forgetAnswer drops what an attempt said before it failed: it is not sent, and
// bills nothing. What the client has heard of an answer that is to be resumed
// stays: the next replay is compared with that, and with nothing else.
func (x *exchange) forgetAnswer() {
	x.hasUsage, x.moreText = false, 0
	if r := &x.events.replay; r.resumed {
		x.text = x.text[:r.heard]
		return
	}
	x.text, x.firstAt = x.text[:0], 0
}

func (x *exchange) receiveError(status int) error {
	x.failure.reset()
	x.attempt.Await(upstream.Body)
	var err error
	if x.failure.body, err = readUpTo(&x.attempt, x.failure.body, x.s.MaxErrorBytes); err == errMore {
		x.s.limits.errorBytes.Inc()
	}
	x.failure.body = hideKey(x.failure.body, x.target.Provider.Client.Settings().APIKey)
	x.attempt.Header().CopyTo(&x.failure.headers)
	return &spokeError{status: status}
}

// hideKey takes the gateway's own key out of an error answer: a provider that
// quotes the key it was sent would show it to the client. An answer may have been
// cut in the midst of the key.
func hideKey(body []byte, key string) []byte {
	for n := min(len(key)-1, len(body)); n >= leastQuoted; n-- {
		if bytes.HasSuffix(body, []byte(key[:n])) {
			body = body[:len(body)-n]
			break
		}
	}
	if key == "" || !bytes.Contains(body, []byte(key)) {
		return body
	}
	return bytes.ReplaceAll(body, []byte(key), []byte("***"))
}

// leastQuoted is how much of a key's beginning is too much: sk-proj- and the like
// stand at the beginning of many.
const leastQuoted = 9

// receiveAnswer reads a whole answer, or as much of it as is kept.
func (x *exchange) receiveAnswer() error {
	x.attempt.Await(upstream.Body)
	var err error
	x.answer, err = readUpTo(&x.attempt, x.answer[:0], x.s.MaxAnswerBytes)
	x.wholeAt = now()
	switch {
	case err == errMore:
		x.s.limits.answerBytes.Inc()
		x.rest = true
		return nil
	case err != nil:
		return err
	case x.endpoint.json && !looksLikeJSON(x.answer):
		return &garbageError{fmt.Errorf("a %d answer of %d bytes that is not JSON", x.status, len(x.answer))}
	}
	return nil
}

var errMore = fmt.Errorf("more is to come")

// readUpTo appends to b until the end of r, or errMore when limit bytes are read.
func readUpTo(r io.Reader, b []byte, limit int) ([]byte, error) {
	for {
		if len(b) >= limit {
			return b, errMore
		}
		if len(b) == cap(b) {
			b = grow(b, -1)
		}
		n, err := r.Read(b[len(b):min(cap(b), limit)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// looksLikeJSON reports whether an answer can be the JSON object or array that
// a client expects, and not a proxy's error page. Its inside is the provider's.
func looksLikeJSON(b []byte) bool {
	b = bytes.TrimSpace(b)
	if len(b) < 2 {
		return false
	}
	first, last := b[0], b[len(b)-1]
	return first == '{' && last == '}' || first == '[' && last == ']'
}

func isEventStream(contentType []byte) bool {
	const sse = "text/event-stream"
	return len(contentType) >= len(sse) && bytes.EqualFold(contentType[:len(sse)], []byte(sse))
}
