package upstream

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	f := func(base string, want target) {
		t.Helper()
		got, err := parseTarget(base)
		if err != nil || got != want {
			t.Errorf("%q: got %+v %v, want %+v", base, got, err, want)
		}
	}
	f("https://api.openai.com/v1", target{true, "api.openai.com", "api.openai.com:443", "api.openai.com", "/v1"})
	f("https://api.openai.com/v1/", target{true, "api.openai.com", "api.openai.com:443", "api.openai.com", "/v1"})
	f("http://localhost:11434", target{false, "localhost", "localhost:11434", "localhost:11434", ""})
	f("http://localhost:", target{false, "localhost", "localhost:80", "localhost", ""})
	f("http://[::1]", target{false, "::1", "[::1]:80", "[::1]", ""})
	f("https://[2001:db8::1]:8443/a/b", target{true, "2001:db8::1", "[2001:db8::1]:8443", "[2001:db8::1]:8443", "/a/b"})
	f("HTTPS://Example.com/x%20y", target{true, "Example.com", "Example.com:443", "Example.com", "/x%20y"})
}

// A base that could mean something else than scheme, host, port and path is
// refused, and the refusal does not quote it: it may hold a password.
func TestBadTargets(t *testing.T) {
	f := func(base string) {
		t.Helper()
		_, err := NewClient(Settings{Name: "p", APIBase: base})
		if err == nil || !strings.HasPrefix(err.Error(), "provider p: api_base: ") {
			t.Errorf("%q: got %v", base, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: quoted in %v", base, err)
		}
	}
	for _, base := range []string{
		"", "api.openai.com", "api.openai.com/v1", "//host/v1", "/v1", "http://", "http:///v1", "http:host", "https:",
		"file:///etc/passwd", "gopher://host/", "ftp://host", "unix:///run/x", "javascript:alert(1)",
		"https://user:secret@host/v1", "https://secret@host/v1", "https://:secret@host",
		"https://host/v1?key=secret", "https://host/v1#secret", "https://host/v1?", "https://host/v1#", "https://host#@169.254.169.254/",
		"https://host/v1\r\nX: y", "https://host\n", " https://host", "https://ho st/", "https://host/v 1", "https://host/\x00", "https://höst/", "https://host/\x7f",
		"http://host:port", "http://host:99999", "http://host:0", "http://host:-1", "http://host:80:80",
		"http://[::1", "http://[fe80::1%25eth0]/", "http://::1/", `http://host\@other/`, `http://a%40b/`, "http://secret:99999999",
	} {
		f(base)
	}
}

// A key that could end a header line is refused, without being shown.
func TestBadKeys(t *testing.T) {
	for _, key := range []string{"sk\r\nX: y", "sk\nX", "sk\x00", "sk\x7f", "skü"} {
		_, err := NewClient(Settings{Name: "p", APIBase: "http://h", APIKey: key})
		if err == nil || strings.Contains(err.Error(), "sk") {
			t.Errorf("%q: got %v", key, err)
		}
	}
}

// Settings print without their key, and equal ones compare equal.
func TestSettingsKeepTheirKey(t *testing.T) {
	s := Settings{Name: "p", APIBase: "http://h/v1", APIKey: "sk-canary"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "settings", s)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), log.String()} {
		if strings.Contains(text, "canary") || !strings.Contains(text, "http://h/v1") {
			t.Errorf("got %q", text)
		}
	}
	c := newClient(t, s)
	if c.Settings() != s {
		t.Error("settings do not survive NewClient")
	}
}
