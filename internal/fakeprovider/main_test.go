package fakeprovider

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial opens a bare connection, which ends with the test.
func dial(t *testing.T, p *Provider) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	return c
}

// say writes text to c.
func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// post is a proper request as it stands on the wire.
func post(path, body string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: fake\r\nContent-Type: application/json\r\nContent-Length: " +
		itoa(len(body)) + "\r\n\r\n" + body
}

// exchange sends a request on a new connection and returns every byte that
// comes back until the provider ends the connection.
func exchangeRaw(t *testing.T, p *Provider, request string) (string, error) {
	t.Helper()
	c := dial(t, p)
	say(t, c, request)
	b, err := io.ReadAll(c)
	return string(b), err
}

// ask posts through net/http and returns status, header and body.
func fetch(t *testing.T, p *Provider, method, path, body string) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+p.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// events reads the events of a stream, without their blank lines.
func events(body string) []string {
	var all []string
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		all = append(all, event)
	}
	return all
}

// line reads one line of an answer.
func line(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	s, err := br.ReadString('\n')
	if err != nil {
		t.Fatalf("got %q, %v", s, err)
	}
	return strings.TrimRight(s, "\r\n")
}
