package upstream

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is an api_base taken apart once.
type target struct {
	secure bool   // https
	host   string // name or IP without brackets, for certificates
	addr   string // host:port, for dialing
	name   string // as the Host header spells it
	prefix string // path in front of every request's path, no slash at its end
}

// parseTarget takes only what can be meant by a base: scheme, host, port, path.
func parseTarget(base string) (target, error) {
	if i := strings.IndexFunc(base, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
		return target{}, fmt.Errorf("api_base: forbidden character at byte %d", i)
	}
	u, err := url.Parse(base)
	if err != nil {
		return target{}, fmt.Errorf("api_base: not a URL") // the cause quotes it, userinfo and all
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, fmt.Errorf("api_base: scheme must be http or https")
	case u.User != nil:
		return target{}, fmt.Errorf("api_base: must not hold a user or password")
	case strings.ContainsAny(base, "?#"):
		return target{}, fmt.Errorf("api_base: must not hold a query or fragment")
	case u.Opaque != "" || u.Hostname() == "":
		return target{}, fmt.Errorf("api_base: has no host")
	case strings.ContainsAny(u.Host, `\%`):
		return target{}, fmt.Errorf("api_base: forbidden character in the host")
	}
	return u2target(u)
}

func u2target(u *url.URL) (target, error) {
	t := target{
		secure: u.Scheme == "https",
		host:   u.Hostname(),
		name:   u.Host,
		prefix: strings.TrimRight(u.EscapedPath(), "/"),
	}
	port := u.Port()
	switch {
	case port == "" && strings.HasSuffix(u.Host, ":"):
		t.name = strings.TrimSuffix(u.Host, ":")
		port = t.defaultPort()
	case port == "":
		port = t.defaultPort()
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "0" {
		return target{}, fmt.Errorf("api_base: bad port")
	}
	t.addr = net.JoinHostPort(t.host, port)
	return t, nil
}

func (t target) defaultPort() string {
	if t.secure {
		return "443"
	}
	return "80"
}
