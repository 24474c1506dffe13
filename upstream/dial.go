package upstream

import (
	"context"
	"crypto/tls"
	"net"
)

// tlsConfig is the provider's: HTTP/1.1 only, sessions resumed.
func tlsConfig(s Settings, t target) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.host,
		RootCAs:            s.RootCAs,
		InsecureSkipVerify: s.InsecureTLS, //nolint:gosec // the operator's VERIFY_SSL=false
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(8), // one name is asked for, ever
	}
}

// dial opens l for the attempt: name lookup, TCP, TLS handshake, all before by.
//
// l is in the attempt's slot already, so that Cancel ends every step of it.
func (a *Attempt) dial(ctx context.Context, l *line, by int64) error {
	c := a.client
	c.counters.dials.Add(1)
	conn, err := c.dialer.DialContext(ctx, "tcp", c.target.addr)
	if err != nil {
		return err
	}
	s, err := newSocket(conn.(*net.TCPConn))
	if err != nil {
		conn.Close()
		return err
	}
	l.sock.Store(s)
	// Cancel may have come between the dial's end and the store, and found
	// nothing to close.
	if a.slot.Load() != l {
		return net.ErrClosed
	}
	s.now, s.readBy, s.writeBy = clock(), by, by
	l.conn = s
	if c.tls == nil {
		return nil
	}
	t := tls.Client(s, c.tls)
	if err := t.Handshake(); err != nil {
		return err
	}
	l.conn, l.tls = t, t
	return nil
}
