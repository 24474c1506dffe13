package downstream

import (
	"crypto/tls"
	"errors"
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
	limit  time.Duration // of a handshake
}

// NewTLSListener wraps l. The handshake is left to the connection's own
// goroutine: Accept does not wait for it.
func NewTLSListener(l *Listener, cert *Certificate) *TLSListener {
	return &TLSListener{
		Listener: l,
		config: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"http/1.1"},
			GetCertificate: cert.Get,
		},
		limit: handshakeTimeout,
	}
}

// Accept returns the next connection, its handshake still to be made.
func (l *TLSListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{Conn: tls.Server(conn, l.config), ln: l}, nil
}

// tlsConn bounds the handshake, which the HTTP server makes by calling
// Handshake first. When it fails the connection is at its end: reading says
// io.EOF, so that nothing a stranger sends makes an answer or a line of log.
type tlsConn struct {
	*tls.Conn
	ln     *TLSListener
	failed bool // set by Handshake, on the goroutine that reads and writes
}

func (c *tlsConn) Handshake() error {
	c.SetDeadline(time.Now().Add(c.ln.limit)) // fails on a closed connection only
	err := c.Conn.Handshake()
	if err != nil {
		c.failed = true
		c.ln.badHandshake.Add(1)
		answerPlain(err)
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

// plainAnswer is for who asks for http:// where https:// is spoken.
const plainAnswer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n" +
	`{"error":{"message":"This address speaks HTTPS: use https:// in the base URL.",` +
	`"type":"invalid_request_error","param":null,"code":"https_required"}}` + "\n"

// answerPlain answers a handshake that was the begin of an HTTP request.
func answerPlain(err error) {
	var e tls.RecordHeaderError
	if !errors.As(err, &e) || e.Conn == nil {
		return
	}
	switch string(e.RecordHeader[:]) {
	case "GET /", "POST ", "HEAD ", "PUT /", "PATCH", "DELET", "OPTIO":
		LingerOnClose(e.Conn)
		io.WriteString(e.Conn, plainAnswer) // whether it arrives is the stranger's concern
	}
}
