package server

import (
	"bytes"
	"errors"

	"github.com/goccy/go-json"

	"llmproxy/config"
	"llmproxy/openai"
)

// recoveryHeader is how a request chooses its own recovery.
const recoveryHeader = "X-Llm-Proxy-Recovery"

// chosenRecovery says what is to be done if the stream breaks off: what the
// request asks for, else what the provider declares.
func (x *exchange) chosenRecovery() config.Recovery {
	if asked, ok := config.ParseRecovery(string(x.ctx.Request.Header.Peek(recoveryHeader))); ok {
		return asked
	}
	return x.target.Provider.Recovery
}

// holding reports whether the stream is still held back, so that it can be
// asked for again elsewhere: to its end, up to MaxAnswerBytes.
func (x *exchange) holding() bool {
	e := &x.events
	if x.recovery != config.RecoverHold || e.done || e.err != nil {
		return false
	}
	if len(e.buf) >= x.s.MaxAnswerBytes {
		x.s.limits.answerBytes.Inc()
		x.recovery = config.RecoverNone // from here on
		return false
	}
	return true
}

// replay compares a second telling of an answer with what the client has
// heard of the first. Its zero value is no replay.
type replay struct {
	resumed  bool // the client has heard a beginning, whose text is this long:
	heard    int
	active   bool // nothing new has been said yet
	at       int  // how much of the heard text it has repeated
	diverged bool
	scratch  []byte
}

var errDiverged = errors.New("the replay says something else than was already sent")

// resume asks other targets for the answer that broke off, until one begins
// with what the client has heard; the stream goes on behind that. It returns
// false if there is none, and the stream ends where it is.
func (x *exchange) resume() bool {
	e := &x.events
	if !x.canResume() {
		return false
	}
	first, broken := x.target, e.err
	told, hasTold, atEnd := x.usage, x.hasUsage, x.usageEnd
	if x.failed() {
		first.Provider.Meter.Truncated.Inc()
	}
	x.asked++ // the attempt that began well; ask counts those that did not
	x.traceBroken()
	heard, result := len(x.text), "failed"
	defer func() { x.s.metrics.StreamRecovered(result) }()
	for cause, v := broken, (verdict{next: true}); v != (verdict{}); {
		x.attempt.Close()
		x.lastErr, x.hasUsage = cause, false
		t := x.s.follow(x, x.target, v)
		if t == nil {
			break
		}
		e.open, e.replay = false, replay{resumed: true, heard: heard, active: true, scratch: e.replay.scratch}
		if cause = x.s.ask(x, t); cause == nil && e.open {
			result = "spliced"
			return true
		}
		// Whatever the replay said is not the end of what the client heard, nor its error.
		e.finishes, e.finished, e.done, e.failed = 0, false, false, false
		if e.replay.diverged || x.stopped() != running || cause == nil {
			x.abandoned()
			break
		}
		v = x.s.judge(x, t, cause)
		x.s.journal.attemptFailed(x, t, cause)
	}
	x.target, x.sent = first, true // whose answer it is, to its end
	x.usage, x.hasUsage, x.usageEnd = told, hasTold, atEnd
	if e.err = broken; e.replay.diverged {
		e.err, result = errDiverged, "diverged"
	}
	return false
}

// canResume reports whether a replay can be compared with what was sent: one
// choice of a chat or completion, all of its text remembered, no error of the
// provider's own among it.
func (x *exchange) canResume() bool {
	e := &x.events
	return x.recovery == config.RecoverSplice && x.endpoint.dialect == completions && x.parsed.N <= 1 &&
		x.moreText == 0 && !e.failed && x.stopped() == running
}

// compare takes one event of a replay. It reports whether the client gets it,
// and what instead, if the event begins with something that was heard.
func (x *exchange) compare(data []byte) (keep bool, instead []byte) {
	r, d := &x.events.replay, &x.events.delta
	r.scratch = openai.AppendText(r.scratch[:0], data)
	said, heard := r.scratch, x.text[r.at:]
	known := min(len(said), len(heard))
	if !bytes.Equal(said[:known], heard[:known]) || d.Finished && len(said) < len(heard) {
		r.diverged = true
		return false, nil
	}
	r.at += known
	fresh := said[known:]
	if len(fresh) == 0 && !d.Finished {
		return false, nil // all of it was heard, or there is nothing in it
	}
	r.active = false
	if known > 0 {
		if instead = withContent(data, said, fresh); instead == nil {
			r.diverged = true
			return false, nil
		}
	}
	x.text = append(x.text, fresh...)
	return true, instead
}

// withContent returns the event with fresh as its content instead of all that
// it said, or nil if its text does not stand in one content (or legacy text)
// of its first choice.
func withContent(data, said, fresh []byte) []byte {
	var chunk, choice, delta map[string]json.RawMessage
	var choices []json.RawMessage
	if json.Unmarshal(data, &chunk) != nil || json.Unmarshal(chunk["choices"], &choices) != nil || len(choices) != 1 ||
		json.Unmarshal(choices[0], &choice) != nil {
		return nil
	}
	place, name := choice, "text"
	if json.Unmarshal(choice["delta"], &delta) == nil && delta != nil {
		place, name = delta, "content"
	}
	var whole string
	if json.Unmarshal(place[name], &whole) != nil || whole != string(said) {
		return nil
	}
	place[name] = openai.AppendString(nil, fresh)
	if name == "content" {
		choice["delta"], _ = json.Marshal(delta)
	}
	one, _ := json.Marshal(choice)
	chunk["choices"] = append(append([]byte{'['}, one...), ']')
	event, _ := json.Marshal(chunk)
	return append(append([]byte("data: "), event...), "\n\n"...)
}
