package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// notebook is what administrators know of the configuration: for every row what
// the Admin API has acknowledged last, and what was cut off since. What it
// acknowledged must be there whatever dies meanwhile.
type notebook struct {
	url, adminKey string
	client        *http.Client
	rows          []*note

	acknowledged atomic.Int64 // writes, since the last check
	unsure       atomic.Int64 // writes that were cut off since then: done or not
	version      atomic.Int64 // the newest that was acknowledged
	base         int64        // the version of the last check

	mu       sync.Mutex // guards refusals
	refusals []string   // that were not 503: no write deserves another one
}

// note is a row that one writer changes. Each of its fields is made of its
// step, so that a row that is half of one write and half of another shows.
type note struct {
	table, name string
	id          int64
	next        int // step of the next write
	is          int // the step that was acknowledged; 0: the row is not there
	tried       int // the step of a write that was cut off, else is
}

// newNotebook makes a notebook of one provider and three client keys for each of
// so many writers.
func newNotebook(writers int) *notebook {
	l := &notebook{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: writers}, Timeout: 20 * time.Second}}
	for w := range writers {
		l.rows = append(l.rows, &note{table: "providers", name: fmt.Sprintf("p%d", w)})
		for i := range 3 {
			l.rows = append(l.rows, &note{table: "credentials", name: fmt.Sprintf("c%d-%d", w, i)})
		}
	}
	return l
}

// at says where the gateway is now, and how to be its administrator.
func (l *notebook) at(url, adminKey string) { l.url, l.adminKey = url, adminKey }

// write lets one writer for every four rows change them until something is cut
// off or refused, or stop is closed. The WaitGroup is theirs.
func (l *notebook) write(stop <-chan struct{}) *sync.WaitGroup {
	var writers sync.WaitGroup
	for w := 0; w < len(l.rows); w += 4 {
		mine := l.rows[w : w+4]
		writers.Go(func() {
			for l.change(mine[rand.IntN(len(mine))]) {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	return &writers
}

// change makes one write to a row, and reports whether it was acknowledged.
func (l *notebook) change(e *note) bool {
	e.next++
	method, path, body, to := "POST", "/"+e.table, e.fields(e.next), e.next
	switch {
	case e.is != 0 && rand.IntN(4) == 0:
		method, path, body, to = "DELETE", fmt.Sprintf("/%s/%d", e.table, e.id), nil, 0
	case e.is != 0:
		method, path = "PATCH", fmt.Sprintf("/%s/%d", e.table, e.id)
	default:
		e.complete(body)
	}
	e.tried = to
	status, answer, err := l.call(method, path, body)
	if err != nil || status/100 != 2 {
		l.unsure.Add(1)
		if err == nil {
			l.refused(fmt.Sprintf("%s %s %v: %d %v", method, path, body, status, answer), status)
		}
		return false
	}
	e.is = to
	for _, kind := range []string{"provider", "credential"} {
		if object, ok := answer[kind].(map[string]any); ok {
			e.id = int64(object["id"].(float64))
		}
	}
	l.acknowledged.Add(1)
	version := int64(answer["version"].(float64))
	for seen := l.version.Load(); version > seen && !l.version.CompareAndSwap(seen, version); {
		seen = l.version.Load()
	}
	return true
}

// refused notes an answer that is neither 2xx nor 503.
func (l *notebook) refused(what string, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if status != http.StatusServiceUnavailable {
		l.refusals = append(l.refusals, what)
	}
}

// key is a client key of the row's.
func (e *note) key() string { return "sk-of-the-notebook-0123456789-" + e.name }

// complete adds what a row must be made with.
func (e *note) complete(body map[string]any) {
	if e.table == "providers" {
		body["api_base"], body["api_key"] = "http://127.0.0.1:9", e.key()
		return
	}
	body["key"] = e.key()
}

// fields are what a row has at a step.
func (e *note) fields(step int) map[string]any {
	if e.table == "providers" {
		return map[string]any{
			"provider_key": e.name, "weight": step, "priority": step % 1000,
			"model_mapping": map[string]any{"m-" + e.name: fmt.Sprintf("own-%d", step)},
		}
	}
	return map[string]any{"name": e.name, "rate_limit": step, "allowed_models": []any{fmt.Sprintf("m-%d", step)}}
}

// check compares what is there with what was acknowledged, takes what is there
// for the truth about what was cut off, and returns what was wrong.
func (l *notebook) check() (wrong []string) {
	wrong, l.refusals = l.refusals, nil
	found := map[string]map[string]any{}
	for _, table := range []string{"providers", "credentials"} {
		status, answer, err := l.call("GET", "/"+table, nil)
		if err != nil || status != 200 {
			return append(wrong, fmt.Sprintf("GET /%s: %d %v %v", table, status, answer, err))
		}
		for _, row := range answer[table].([]any) {
			row := row.(map[string]any)
			name, _ := row["name"].(string)
			if table == "providers" {
				name = row["provider_key"].(string)
			}
			found[name] = row
		}
		if table == "credentials" {
			wrong = append(wrong, l.checkVersion(int64(answer["version"].(float64)))...)
		}
	}
	for _, e := range l.rows {
		if fault := e.settle(found[e.name]); fault != "" {
			wrong = append(wrong, fault)
		}
	}
	return wrong
}

// checkVersion holds a version against the writes since the last check: every
// acknowledged one has raised it by one, and one that was cut off may have.
func (l *notebook) checkVersion(version int64) (wrong []string) {
	done, unsure, last := l.acknowledged.Swap(0), l.unsure.Swap(0), l.version.Load()
	if low := l.base + done; l.base > 0 && (version < low || version > low+unsure) || version < last {
		wrong = append(wrong, fmt.Sprintf("version %d after version %d and %d writes that were acknowledged, the last as %d, and %d that were not",
			version, l.base, done, last, unsure))
	}
	l.base = version
	return wrong
}

// settle takes the row that was found, nil for none, for the truth.
func (e *note) settle(row map[string]any) (fault string) {
	step := 0
	if row != nil {
		e.id = int64(row["id"].(float64))
		number := map[string]string{"providers": "weight", "credentials": "rate_limit"}[e.table]
		step = int(row[number].(float64))
		for name, want := range e.fields(step) {
			got, _ := json.Marshal(row[name])
			if text, _ := json.Marshal(want); !bytes.Equal(got, text) {
				fault = fmt.Sprintf("%s is half written: %v", e.name, row)
			}
		}
	}
	if step != e.is && step != e.tried {
		fault = fmt.Sprintf("%s is at step %d, acknowledged is %d, cut off was %d", e.name, step, e.is, e.tried)
	}
	e.is, e.tried = step, step
	return fault
}

// call calls the Admin API. An answer that did not come whole is an error.
func (l *notebook) call(method, path string, body map[string]any) (status int, answer map[string]any, err error) {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return 0, nil, err
		}
	}
	q, err := http.NewRequest(method, l.url+"/admin/v1"+path, &sent)
	if err != nil {
		return 0, nil, err
	}
	q.GetBody = nil // nothing is sent a second time
	q.Header.Set("Authorization", "Bearer "+l.adminKey)
	resp, err := l.client.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer, err
}

// reaches waits until so many writes were acknowledged, or one was not.
func (l *notebook) reaches(t *testing.T, acknowledged int64) {
	t.Helper()
	if !soon(func() bool { return l.acknowledged.Load() >= acknowledged || l.unsure.Load() > 0 }) {
		t.Fatalf("%d writes were acknowledged, %d were wanted", l.acknowledged.Load(), acknowledged)
	}
}
