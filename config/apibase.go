package config

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const maxAPIBase = 2048

// checkAPIBase says what is wrong with the address of a provider, or "".
//
// The address is repeated in no message: people paste keys into it.
func checkAPIBase(base string) string {
	switch {
	case base == "":
		return "must not be empty"
	case len(base) > maxAPIBase:
		return "must be at most 2048 characters"
	case strings.ContainsFunc(base, notVisibleASCII):
		return "must be ASCII without spaces, line breaks or control characters"
	case strings.ContainsAny(base, "?#"):
		return "must have no query and no fragment"
	case strings.ContainsAny(base, `\"<>^{}|`+"`"):
		return `must not hold any of \ " < > ^ { } | or a back-quote`
	}
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return "must be a URL like https://api.openai.com/v1"
	case u.Scheme != "http" && u.Scheme != "https":
		return "must begin with http:// or https://"
	case u.User != nil:
		return "must not hold a user name or password"
	}
	return checkHost(u)
}

// checkHost says what is wrong with the host and port of a URL.
func checkHost(u *url.URL) string {
	if u.Opaque != "" || u.Hostname() == "" {
		return "must name a host"
	}
	if !isHost(u.Hostname()) {
		return "must name a host by letters, digits, - . and _, or by an IP address"
	}
	if strings.HasSuffix(u.Host, ":") {
		return "must have a port after the colon"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "must have a port from 1 to 65535"
		}
	}
	return ""
}

// isHost reports whether host is a name or an address to dial.
func isHost(host string) bool {
	if strings.Contains(host, ":") {
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Zone() == ""
	}
	if host == "" || len(host) > 253 || host[0] == '.' || strings.Contains(host, "..") {
		return false
	}
	if endsInNumber(host) {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return !strings.ContainsFunc(host, func(r rune) bool { return !isWord(r) && r != '.' && r != '-' })
}

// endsInNumber reports whether the last part of a host is a number: no name of
// the DNS ends so. Such a host is an IPv4 address, which some resolvers read
// in octal, in hex or from fewer parts ("0177.0.0.1", "0x7f.1", "2852039166"),
// and others do not. The rule is the one of browsers (url.spec.whatwg.org).
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex := strings.TrimPrefix(strings.ToLower(last), "0x"); len(hex) < len(last) {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func notVisibleASCII(r rune) bool { return r <= ' ' || r > '~' }

// isWord reports whether r is a letter or digit of ASCII, or '_'.
func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
}
