package downstream

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// handshakeTimeout bounds a TLS handshake, both ways.
const handshakeTimeout = 10 * time.Second

// TLSListener is a Listener whose connections speak TLS 1.2 or newer and
// HTTP/1.1 in it.
type TLSListener struct {
	*Listener
	config *tls.Config
}

// NewTLSListener wraps l. The handshake is left to the connection's own
// goroutine: Accept does not wait for it.
func NewTLSListener(l *Listener, cert *Certificate) *TLSListener {
	return &TLSListener{Listener: l, config: &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: cert.Get,
	}}
}

// Accept returns the next connection, its handshake still to be made.
func (l *TLSListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{Conn: tls.Server(conn, l.config), ln: l.Listener}, nil
}

// tlsConn bounds the handshake, which the HTTP server makes by calling
// Handshake first, and ends quietly when it fails: with io.EOF, which is
// nothing to log or to answer.
type tlsConn struct {
	*tls.Conn
	ln     *Listener
	failed bool // set by Handshake, on the goroutine that reads and writes
}

func (c *tlsConn) Handshake() error {
	c.SetDeadline(time.Now().Add(handshakeTimeout)) // fails on a closed connection only
	if err := c.Conn.Handshake(); err != nil {
		c.failed = true
		c.ln.badHandshake.Add(1)
		return err
	}
	return c.SetDeadline(time.Time{})
}

func (c *tlsConn) Read(p []byte) (int, error) {
	if c.failed {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}
