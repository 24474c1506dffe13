package loadgen

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Target is a server that is loaded. It does not change.
type Target struct {
	Name string // its address without what may be secret in it
	key  string
	host string // and port, if the URL has one
	addr string
	path string
	tls  *tls.Config // nil is plain HTTP
}

// NewTarget makes a target of its address: http://host:port, an API base
// (…/v1) or the whole address of its chat completions. The key may be empty;
// trust may be nil, and is the caller's to leave alone from now on.
func NewTarget(address, key string, trust *tls.Config) (*Target, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the address must be http://host:port or https://host:port") // not repeated: there may be a key in it
	case u.User != nil || u.RawQuery != "":
		return nil, errors.New("the address must have no user and no query")
	case strings.ContainsAny(key, "\r\n"):
		return nil, errors.New("the key must be one line")
	}
	t := &Target{Name: u.Scheme + "://" + u.Host, key: key, host: u.Host, path: completions(u.EscapedPath())}
	port := u.Port()
	if u.Scheme == "https" {
		t.tls = &tls.Config{}
		if trust != nil {
			t.tls = trust.Clone()
		}
		t.tls.ServerName = u.Hostname()
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	t.addr = net.JoinHostPort(u.Hostname(), port)
	return t, nil
}

// completions is the path of the chat completions under an address's path.
func completions(path string) string {
	path = strings.TrimRight(path, "/")
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		return path
	case path == "":
		return "/v1/chat/completions"
	}
	return path + "/chat/completions"
}

func (t *Target) dial(ctx context.Context) (net.Conn, error) {
	if t.tls != nil {
		return (&tls.Dialer{Config: t.tls}).DialContext(ctx, "tcp", t.addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", t.addr)
}

// request makes the bytes of the plan's request.
func (t *Target) request(p Plan) []byte {
	model, _ := json.Marshal(p.Model) // a string always has JSON
	var more, headers string
	if p.Stream {
		more = `"stream":true,`
	}
	if p.AnswerTokens > 0 {
		more += fmt.Sprintf(`"max_tokens":%d,`, p.AnswerTokens)
	}
	body := fmt.Sprintf(`{"model":%s,%s"messages":[{"role":"user","content":"%s"}]}`, model, more, prompt(p.PromptBytes))
	if t.key != "" {
		headers = "Authorization: Bearer " + t.key + "\r\n"
	}
	if p.Fresh {
		headers += "Connection: close\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		t.path, t.host, headers, len(body), body)
}

// prompt is text of n bytes: words, for a run of one letter is no work, or
// far too much, for whoever counts tokens.
func prompt(n int) string {
	const words = "Tell me what a gateway does with the words that pass it by, and how long that may take. "
	return strings.Repeat(words, n/len(words)+1)[:n]
}
