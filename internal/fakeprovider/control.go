package fakeprovider

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// seen is a Request as tests in another process get it.
type seen struct {
	Seq           int64    `json:"seq"`
	Conn          int64    `json:"conn"`
	Method        string   `json:"method"`
	Target        string   `json:"target"`
	Authorization string   `json:"authorization"`
	Header        []string `json:"header"`
	Body          string   `json:"body"`
}

// Control lets tests in another process steer the provider and read what it
// was sent:
//
//	POST /script  one line of ParseScript for each of the next requests
//	POST /handle  one line of ParseScript for all requests after those
//	POST /reset   forget the scripts and the requests
//	GET  /seen    the requests so far
//	GET  /gone    waits until the newest request's connection is closed by its peer
func (p *Provider) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /script", p.controlScript)
	mux.HandleFunc("POST /handle", p.controlHandle)
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) { p.Reset() })
	mux.HandleFunc("GET /seen", p.controlSeen)
	mux.HandleFunc("GET /gone", p.controlGone)
	return mux
}

func (p *Provider) controlScript(w http.ResponseWriter, q *http.Request) {
	text, ok := scriptText(w, q)
	if !ok {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		h, err := ParseScript(line)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.ScriptFunc(h)
	}
}

func (p *Provider) controlHandle(w http.ResponseWriter, q *http.Request) {
	text, ok := scriptText(w, q)
	if !ok {
		return
	}
	h, err := ParseScript(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.Handle(h)
}

// scriptText reads a posted script, or answers that it cannot.
func scriptText(w http.ResponseWriter, q *http.Request) (string, bool) {
	text, err := io.ReadAll(http.MaxBytesReader(w, q.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return string(text), err == nil
}

func (p *Provider) controlSeen(w http.ResponseWriter, _ *http.Request) {
	list := []seen{}
	for _, r := range p.Requests() {
		list = append(list, seen{
			Seq: r.Seq, Conn: r.Conn, Method: r.Method, Target: r.Target,
			Authorization: r.Header.Get("Authorization"), Header: r.Lines, Body: string(r.Body),
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // a reader that left needs no answer
}

func (p *Provider) controlGone(w http.ResponseWriter, q *http.Request) {
	r := p.Last()
	if r == nil {
		http.Error(w, "no request has arrived", http.StatusConflict)
		return
	}
	select {
	case <-r.Gone:
	case <-q.Context().Done():
	case <-time.After(waitLimit):
		http.Error(w, "the connection is still open", http.StatusGatewayTimeout)
	}
}
