package config

import (
	"net"
	"strconv"
)

// operators declares the second listener: what belongs to operators goes
// there, away from the port of the clients.
func (o *Options) operators() []setting {
	return []setting{
		{"ADMIN_ADDR", "", "Address like 127.0.0.1:18001 of a second listener: the Admin API, /metrics and /health/detailed move there, and it has profiles of the process (/debug/).", hostPort(&o.AdminAddr)},
		{"ADMIN_ON_PUBLIC_PORT", "false", "With ADMIN_ADDR: they stay on PORT as well, all but /debug/.", boolean(&o.AdminOnPublicPort)},
		{"ADMIN_PLAIN_HTTP", "false", "With ADMIN_ADDR: let it be another address than the loopback without TLS, in a network that is private: the admin key travels in plain text.", boolean(&o.AdminPlainHTTP)},
	}
}

// hostPort is an address to listen on, both parts of it given.
func hostPort(to *string) reader {
	return reader{read: func(s string) string {
		host, port, err := net.SplitHostPort(s)
		n, fault := strconv.ParseUint(port, 10, 16)
		if err != nil || fault != nil || !isHost(host) {
			return "must be a host and a port, like 127.0.0.1:18001"
		}
		*to = net.JoinHostPort(host, strconv.FormatUint(n, 10)) // 018001 is the same port
		return ""
	}}
}

// checkOperators finds what is wrong with ADMIN_ADDR among the other settings.
func (o *Options) checkOperators() Problems {
	var problems Problems
	if o.AdminAddr == "" {
		return nil
	}
	host, port, _ := net.SplitHostPort(o.AdminAddr)
	if n, _ := strconv.Atoi(port); n != 0 && n == o.Port {
		// With REUSE_PORT the kernel would deal the connections out between the two.
		problems.add("ADMIN_ADDR", "must have another port than PORT")
	}
	if !IsLoopback(host) && o.TLSCertFile == "" && !o.AdminPlainHTTP {
		problems.add("ADMIN_ADDR", "must be on the loopback, like 127.0.0.1:18001, or have TLS (TLS_CERT_FILE); ADMIN_PLAIN_HTTP=true allows it in a private network")
	}
	return problems
}

// IsLoopback reports whether an address or the name localhost is this
// machine's alone.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
