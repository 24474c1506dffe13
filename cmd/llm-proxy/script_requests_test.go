package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// answer is what a script's last request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// String is the answer for a person to read, without the end of a long one.
func (a answer) String() string { return fmt.Sprintf("%d %.1500s", a.status, a.body) }

// soon waits, for a few seconds, until the claim holds.
func soon(claim func() bool) bool { return within(10*time.Second, claim) }

// within waits until the claim holds, but for a limit.
func within(limit time.Duration, claim func() bool) bool {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-again.C {
		if claim() {
			return true
		}
	}
	return claim()
}

// payload returns the JSON that the line names or holds.
func payload(l line, i int) []byte {
	text := l.rest(i)
	if text == "" {
		return nil
	}
	if !strings.ContainsAny(text, "{[ ") {
		text = l.ReadFile(text)
	}
	return []byte(os.Expand(text, l.Getenv))
}

// ask makes a request and keeps its answer.
func (w *world) ask(l line, method, path, key string, body []byte) {
	q, err := http.NewRequest(method, l.Getenv("URL")+path, bytes.NewReader(body))
	l.Check(err)
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	w.last, err = w.fetch(q)
	l.Check(err)
	l.Logf("%s %s: %s", method, path, w.last)
}

// fetch returns the whole answer to a request.
func (w *world) fetch(q *http.Request) (a answer, err error) {
	resp, err := w.client.Do(q)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a = answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

func (w *world) get(l line) { w.ask(l, http.MethodGet, l.at(0), l.Getenv("KEY"), nil) }

func (w *world) post(l line) {
	w.ask(l, http.MethodPost, l.at(0), l.Getenv("KEY"), payload(l, 1))
}

func (w *world) admin(l line) {
	w.ask(l, l.at(0), "/admin/v1"+l.at(1), l.Getenv("ADMIN_KEY"), payload(l, 2))
}

func (w *world) speakAs(l line) { l.Setenv("KEY", l.at(0)) }

// declare makes a provider row for the provider of that name.
func (w *world) declare(l line) {
	name := l.at(0)
	body, err := json.Marshal(fieldsOf(l, 1, map[string]any{
		"provider_key": name, "api_base": l.Getenv(name), "api_key": l.Getenv(name + "_KEY"),
	}))
	l.Check(err)
	w.ask(l, http.MethodPost, "/admin/v1/providers", l.Getenv("ADMIN_KEY"), body)
	if w.last.status != http.StatusCreated {
		l.Fatalf("%s", w.last)
	}
	w.hold(l, name+"_ID", "provider.id")
}

// makeKey makes a client key and speaks for it.
func (w *world) makeKey(l line) {
	body, err := json.Marshal(fieldsOf(l, 0, map[string]any{"name": "a client"}))
	l.Check(err)
	w.ask(l, http.MethodPost, "/admin/v1/credentials", l.Getenv("ADMIN_KEY"), body)
	if w.last.status != http.StatusCreated {
		l.Fatalf("%s", w.last)
	}
	w.hold(l, "KEY", "key")
	w.hold(l, "KEY_ID", "credential.id")
}

func (w *world) status(l line) {
	l.is(strconv.Itoa(w.last.status) == l.at(0), "%s", w.last)
}

func (w *world) json(l line) {
	got, found := lookUp(w.last.body, l.at(0))
	if len(l.words) == 1 {
		l.is(found, "%s in %s", l.at(0), w.last)
		return
	}
	l.is(got == l.rest(1), "%s is %q in %s", l.at(0), got, w.last)
}

func (w *world) body(l line) {
	l.is(regexp.MustCompile(l.rest(0)).Match(w.last.body), "the answer is %s", w.last)
}

func (w *world) header(l line) {
	got := strings.Join(w.last.header.Values(l.at(0)), ", ")
	if len(l.words) == 1 {
		l.is(got != "", "%s is %q", l.at(0), got)
		return
	}
	l.is(got == l.rest(1), "%s is %q", l.at(0), got)
}

func (w *world) keep(l line) { w.hold(l, l.at(0), l.at(1)) }

func (w *world) fromFile(l line) { l.Setenv(l.at(0), strings.TrimSpace(l.ReadFile(l.at(1)))) }

func (w *world) hold(l line, name, path string) {
	value, found := lookUp(w.last.body, path)
	if !found {
		l.Fatalf("no %s in %s", path, w.last)
	}
	l.Setenv(name, value)
}

func (w *world) metric(l line) {
	want, err := strconv.ParseFloat(l.at(1), 64)
	l.Check(err)
	var got float64
	ok := soon(func() bool {
		got = w.gateway.Metric(w.tb, l.at(0))
		return (got == want) != l.not
	})
	l.is(ok != l.not, "%s is %v", l.at(0), got)
}

// streaming is a streamed request under way.
type streaming struct {
	resp *http.Response
	read *bufio.Reader
	got  bytes.Buffer
}

// stream begins one with a client of its own, which checks nothing: it would
// wait for the whole.
func (w *world) stream(l line) {
	w.questions++
	q, err := http.NewRequest(http.MethodPost, l.Getenv("URL")+l.at(0), bytes.NewReader(payload(l, 1)))
	l.Check(err)
	q.Header.Set("Authorization", "Bearer "+l.Getenv("KEY"))
	resp, err := http.DefaultClient.Do(q)
	l.Check(err)
	w.streaming = &streaming{resp: resp, read: bufio.NewReader(resp.Body)}
	first, err := w.streaming.read.ReadBytes('\n')
	l.Check(err)
	w.streaming.got.Write(first)
}

func (w *world) finish(l line) {
	s := w.streaming
	_, err := s.got.ReadFrom(s.read)
	s.end()
	w.last = answer{status: s.resp.StatusCode, header: s.resp.Header, body: s.got.Bytes()}
	l.Logf("%s", w.last)
	l.Check(err)
}

// hear reads on until a text has come.
func (w *world) hear(l line) {
	s := w.streaming
	for !bytes.Contains(s.got.Bytes(), []byte(l.rest(0))) {
		next, err := s.read.ReadBytes('\n')
		s.got.Write(next)
		l.Check(err)
	}
}

func (w *world) leave(line) { w.streaming.end() }

func (s *streaming) end() { s.resp.Body.Close() }

// lookUp finds what stands at a path like data.0.id in JSON: a text as it is,
// everything else as JSON. A last word length is a list's.
func lookUp(text []byte, path string) (value string, found bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var at any
	if d.Decode(&at) != nil {
		return "", false
	}
	for name := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at, found = v[name]
		case []any:
			if name == "length" {
				return strconv.Itoa(len(v)), true
			}
			i, err := strconv.Atoi(name)
			if found = err == nil && 0 <= i && i < len(v); found {
				at = v[i]
			}
		default:
			found = false
		}
		if !found {
			return "", false
		}
	}
	if s, ok := at.(string); ok {
		return s, true
	}
	return compact(at), true
}

func compact(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// valueOf reads a word as JSON, or else as a text.
func valueOf(word string) any {
	if json.Valid([]byte(word)) {
		return json.RawMessage(word)
	}
	return word
}
