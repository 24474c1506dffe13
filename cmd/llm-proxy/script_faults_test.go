package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// outcome is what a client gets for a question.
type outcome struct {
	kind     string // answer, part of one and an error event, or error
	text     string // of an answer or a part
	status   int    // of an error
	code     string // of an error, or of the error event
	from     string // the provider that is named
	attempts int
}

// parseOutcome reads what follows gets and some:
//
//	answer from NAME attempts N
//	part TEXT from NAME attempts N
//	error STATUS CODE from NAME attempts N
func parseOutcome(words []string) (o outcome, err error) {
	n := len(words)
	if n < 5 || words[n-4] != "from" || words[n-2] != "attempts" {
		return o, fmt.Errorf("%q does not end in: from NAME attempts N", words)
	}
	o = outcome{kind: words[0], from: words[n-3]}
	if o.attempts, err = strconv.Atoi(words[n-1]); err != nil {
		return o, err
	}
	what := words[1 : n-4]
	switch {
	case o.kind == "answer" && len(what) == 0:
		return o, nil
	case o.kind == "part":
		o.text, o.code = strings.Join(what, " "), "upstream_stream_error"
		return o, nil
	case o.kind == "error" && len(what) == 2:
		o.code = what[1]
		o.status, err = strconv.Atoi(what[0])
		return o, err
	}
	return o, fmt.Errorf("no such outcome: %q", words)
}

// wanted is the outcome of a line, with the text that the provider says. An
// answer that one began and another finished (a+b) bears the name and the
// count of the one that began it: its head was sent by then.
func (w *world) wanted(l line) outcome {
	o, err := parseOutcome(l.words)
	l.Check(err)
	if o.kind == "answer" {
		first, second, both := strings.Cut(o.from, "+")
		o.text = w.says[cmp.Or(second, first)]
		if both {
			o.from, o.attempts = first, o.attempts-1
		}
	}
	return o
}

// hear makes an outcome of what came, as a strict SDK understands it. What is
// neither complete nor says that it is not, is of no kind that a script knows.
func hear(a answer) outcome {
	o := outcome{from: a.header.Get("X-Llm-Proxy-Provider")}
	o.attempts, _ = strconv.Atoi(a.header.Get("X-Llm-Proxy-Attempts"))
	switch {
	case a.status != http.StatusOK:
		o.kind, o.status = "error", a.status
		o.code, _ = lookUp(a.body, "error.code")
	case strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream"):
		o.listen(string(a.body))
	default:
		o.text, _ = lookUp(a.body, "choices.0.message.content")
		if finish, _ := lookUp(a.body, "choices.0.finish_reason"); finish == "stop" {
			o.kind = "answer"
		}
	}
	return o
}

// listen reads a stream to its end.
func (o *outcome) listen(stream string) {
	finished, done := false, false
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		var chunk struct {
			Error   *struct{ Code string }
			Choices []struct {
				Delta  struct{ Content string }
				Finish string `json:"finish_reason"`
			}
		}
		switch {
		case strings.HasPrefix(event, ":"):
		case !ok || done || o.code != "" || data != "[DONE]" && json.Unmarshal([]byte(data), &chunk) != nil:
			o.kind = fmt.Sprintf("a stream with %q, which no SDK expects there", event)
			return
		case data == "[DONE]":
			done = true
		case chunk.Error != nil:
			o.code = chunk.Error.Code
		}
		for _, c := range chunk.Choices {
			o.text += c.Delta.Content
			finished = finished || c.Finish != ""
		}
	}
	switch {
	case o.code != "":
		o.kind = "part"
	case finished && done:
		o.kind = "answer"
	}
}

// question asks "Hello!", and takes the whole answer.
func (w *world) question(l line) {
	var err error
	w.questions++
	w.last, err = w.fetch(w.asking(l, l.words))
	l.Check(err)
	l.Logf("%s", w.last)
}

// asking is the request of ask and crowd.
func (w *world) asking(l line, words []string) *http.Request {
	body := `{"model":"gpt-4","messages":[{"role":"user","content":"Hello!"}]`
	recovery := ""
	for _, word := range words {
		switch word {
		case "stream":
			body += `,"stream":true`
		case "usage":
			body += `,"stream_options":{"include_usage":true}`
		case "splice", "hold":
			recovery = word
		default:
			l.Fatalf("ask [stream] [usage] [splice|hold]")
		}
	}
	q, err := http.NewRequest(http.MethodPost, l.Getenv("URL")+"/v1/chat/completions", strings.NewReader(body+"}"))
	l.Check(err)
	q.Header.Set("Authorization", "Bearer "+l.Getenv("KEY"))
	q.Header.Set("Content-Type", "application/json")
	if recovery != "" {
		q.Header.Set("X-Llm-Proxy-Recovery", recovery)
	}
	return q
}

func (w *world) gets(l line) {
	got, want := hear(w.last), w.wanted(l)
	l.is(got == want, "the client got %+v, want %+v, of %s", got, want, w.last)
}

// crowd asks all at once.
func (w *world) crowd(l line) {
	n, err := strconv.Atoi(l.at(0))
	l.Check(err)
	w.questions += n
	w.voices = make([]answer, n)
	faults := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		q := w.asking(l, nil)
		all.Go(func() { w.voices[i], faults[i] = w.fetch(q) })
	}
	all.Wait()
	for _, fault := range faults {
		l.Check(fault)
	}
}

func (w *world) some(l line) {
	want := w.wanted(l)
	l.is(slices.ContainsFunc(w.voices, func(a answer) bool { return hear(a) == want }), "somebody got %+v", want)
}

// without takes a provider out of the configuration.
func (w *world) without(l line) {
	w.ask(l, http.MethodPatch, "/admin/v1/providers/"+l.Getenv(l.at(0)+"_ID"), l.Getenv("ADMIN_KEY"), []byte(`{"is_enabled":false}`))
	if w.last.status != http.StatusOK {
		l.Fatalf("%s", w.last)
	}
}

// countingLimit is long: what no provider counted is counted with a vocabulary
// that has to be read first, which takes seconds under the race detector, and
// many of them on a machine that has more to do.
const countingLimit = time.Minute

// billed looks at the tokens of a provider once all questions are recorded.
func (w *world) billed(l line) {
	var want, got, records [2]string
	switch {
	case l.rest(1) == "nothing":
		want = [2]string{"0", "0"}
	case l.at(1) == "prompt" && l.at(3) == "completion":
		want = [2]string{l.at(2), l.at(4)}
	default:
		l.Fatalf("billed NAME prompt N completion N, or billed NAME nothing")
	}
	count := func(series string) string { return fmt.Sprint(w.gateway.Metric(w.tb, series)) }
	tokens := `llm_proxy_tokens_total{provider="` + l.at(0) + `",token_type=`
	ok := within(countingLimit, func() bool {
		records = [2]string{count("llm_proxy_usage_records_total"), strconv.Itoa(w.questions)}
		got = [2]string{count(tokens + `"prompt"}`), count(tokens + `"completion"}`)}
		return got == want && records[0] == records[1]
	})
	l.is(ok, "%s is billed %v, want %v, with %s usage records for %s questions", l.at(0), got, want, records[0], records[1])
}

// textIn is what a provider of these words says.
func textIn(words []string) string {
	for _, word := range words {
		if text, ok := strings.CutPrefix(word, "text="); ok {
			return strings.NewReplacer("|", "", "+", " ").Replace(text)
		}
	}
	return "Hello from the fake provider."
}
