package upstream

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// certify makes a certificate for names, signed by itself.
func certify(t testing.TB, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// provideTLS is provide over TLS; a nil config is the server's default.
func provideTLS(t testing.TB, config *tls.Config, serve func(*peer)) (*provider, *x509.CertPool) {
	t.Helper()
	cert, roots := certify(t, "127.0.0.1")
	if config == nil {
		config = &tls.Config{}
	}
	if config.Certificates == nil {
		config.Certificates = []tls.Certificate{cert}
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	return provideOn(t, ln, serve), roots
}

// trusting makes the provider's address an https one and trusts roots.
func trusting(roots *x509.CertPool) func(*Settings) {
	return func(s *Settings) {
		s.APIBase = strings.Replace(s.APIBase, "http://", "https://", 1)
		s.RootCAs = roots
	}
}

// Over TLS 1.2 and 1.3: connections are used again although session tickets
// arrive after the handshake, and new connections resume the session.
func TestTLSReuseAndResumption(t *testing.T) {
	f := func(version uint16) {
		t.Helper()
		var resumed, alpn atomic.Int64
		config := &tls.Config{MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}
		p, roots := provideTLS(t, config, func(p *peer) {
			for {
				if _, okay := p.request(); !okay {
					return
				}
				state := p.Conn.(*tls.Conn).ConnectionState()
				if state.DidResume {
					resumed.Add(1)
				}
				if state.NegotiatedProtocol == "http/1.1" {
					alpn.Add(1)
				}
				p.say(ok)
			}
		})
		c := p.client(trusting(roots))
		var a Attempt
		for range 5 {
			if _, _, err := exchange(&a, c, post("{}")); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.conns.Load(); n != 1 || c.Stats().Reuses != 4 {
			t.Errorf("%x: got %d connections and %+v, want 1 and 4 reuses", version, n, c.Stats())
		}
		if l := c.pool.pop(); l == nil {
			t.Errorf("%x: no idle connection", version)
		} else {
			l.close()
		}
		if _, _, err := exchange(&a, c, post("{}")); err != nil {
			t.Fatal(err)
		}
		if resumed.Load() != 1 || alpn.Load() != 6 {
			t.Errorf("%x: got %d resumed, %d with http/1.1 of 6", version, resumed.Load(), alpn.Load())
		}
		p.stop()
	}
	f(tls.VersionTLS12)
	f(tls.VersionTLS13)
}

// Records that arrive on an idle connection: TLS's own affairs leave it alive;
// an end or data does not, and costs no request.
func TestIdleTLSConnection(t *testing.T) {
	f := func(name string, say func(*sealer), alive bool) {
		t.Helper()
		said := make(chan bool)
		var log keyLog
		config := &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, KeyLogWriter: &log}
		p, roots := provideTLS(t, config, func(p *peer) {
			if _, okay := p.request(); !okay {
				return
			}
			s := newSealer(t, p.Conn.(*tls.Conn), &log)
			s.data(ok)
			p.in.Peek(0)
			if p.id == 1 {
				said <- true // the first answer is out
				<-said       // and has been read
				say(s)
				said <- true
			}
			if _, okay := p.request(); okay {
				s.data(ok)
			}
			p.request()
		})
		c := p.client(trusting(roots))
		var a Attempt
		if err := a.Send(c, post("{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := read(&a); err != nil {
			t.Fatal(err)
		}
		<-said
		a.Close()
		said <- true
		<-said
		if !alive {
			eventually(t, "the end on the idle connection", func() bool {
				return hasInput(t, c.pool.lines[0])
			})
		}
		if _, _, err := exchange(&a, c, post("{}")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := Stats{Dials: 2, Stale: 1, Idle: 1}
		if alive {
			want = Stats{Dials: 1, Reuses: 1, Idle: 1}
		}
		if got := c.Stats(); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		p.stop()
	}
	f("silence", func(*sealer) {}, true)
	f("half a session ticket", func(s *sealer) { s.half = true; s.ticket() }, true)
	f("a session ticket", func(s *sealer) { s.ticket() }, true)
	f("three session tickets", func(s *sealer) { s.ticket(); s.ticket(); s.ticket() }, true)
	f("an answer nobody asked for", func(s *sealer) { s.data(ok) }, false)
	f("a ticket, then data", func(s *sealer) { s.ticket(); s.data("x") }, false)
	f("close_notify", func(s *sealer) { s.seal(21, []byte{1, 0}) }, false)
	f("a fatal alert", func(s *sealer) { s.seal(21, []byte{2, 80}) }, false)
	f("a FIN", func(s *sealer) { s.raw.(*net.TCPConn).CloseWrite() }, false)
	f("garbage", func(s *sealer) { s.raw.Write([]byte("garbage")) }, false)
}

// keyLog keeps the last server traffic secret that crypto/tls logged.
type keyLog struct{ secret []byte }

func (k *keyLog) Write(p []byte) (int, error) {
	if words := strings.Fields(string(p)); words[0] == "SERVER_TRAFFIC_SECRET_0" {
		k.secret, _ = hex.DecodeString(words[2])
	}
	return len(p), nil
}

// sealer writes TLS 1.3 records in the server's place, from the first one after
// the handshake on: crypto/tls cannot be made to send a ticket later.
type sealer struct {
	t   testing.TB
	raw net.Conn
	gcm cipher.AEAD
	iv  []byte
	seq uint64

	half bool   // the next record is written by half
	rest []byte // the other half, written with the record after it
}

func newSealer(t testing.TB, c *tls.Conn, log *keyLog) *sealer {
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("cipher suite %x: only AES-128-GCM is made here", suite)
	}
	derive := func(label string, n int) []byte {
		label = "tls13 " + label
		info := string([]byte{0, byte(n), byte(len(label))}) + label + "\x00"
		b, err := hkdf.Expand(sha256.New, log.secret, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, err := aes.NewCipher(derive("key", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{t: t, raw: c.NetConn(), gcm: gcm, iv: derive("iv", 12)}
}

// seal writes one record.
func (s *sealer) seal(kind byte, content []byte) {
	nonce := bytes.Clone(s.iv)
	for i := range 8 {
		nonce[11-i] ^= byte(s.seq >> (8 * i))
	}
	s.seq++
	inner := append(bytes.Clone(content), kind)
	n := len(inner) + s.gcm.Overhead()
	head := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	record := append(s.rest, s.gcm.Seal(head, nonce, inner, head)...)
	s.rest = nil
	if s.half {
		s.half, s.rest = false, record[n/2:]
		record = record[:n/2]
	}
	s.raw.Write(record)
}

func (s *sealer) data(text string) { s.seal(23, []byte(text)) }

// ticket writes a NewSessionTicket message.
func (s *sealer) ticket() {
	s.seal(22, []byte{
		4, 0, 0, 15, // its type and length
		0, 0, 14, 16, 1, 2, 3, 4, // lifetime, age_add
		1, 9, // nonce
		0, 1, 7, // ticket
		0, 0, // no extensions
	})
}

// A certificate that does not fit is an error of the connect phase that says so.
func TestWrongCertificates(t *testing.T) {
	f := func(name string, edit func(*Settings), config *tls.Config, want string) {
		t.Helper()
		p, roots := provideTLS(t, config, answers(ok))
		c := p.client(trusting(roots), edit)
		var a Attempt
		_, _, err := exchange(&a, c, post("{}"))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		e := asError(t, err)
		if e.Phase != Connect || e.Sent || e.Cancelled || e.Timeout || !strings.Contains(e.Error(), want) {
			t.Errorf("%s: got %v %#v, want %q", name, e, e, want)
		}
	}
	same := func(*Settings) {}
	other, otherRoots := certify(t, "other.example")
	f("right", same, nil, "")
	f("signed by nobody we know", func(s *Settings) { s.RootCAs = otherRoots }, nil, "certificate signed by unknown authority")
	f("system roots", func(s *Settings) { s.RootCAs = nil }, nil, "certificate signed by unknown authority")
	f("not looked at", func(s *Settings) { s.RootCAs, s.InsecureTLS = nil, true }, nil, "")
	f("for another name", func(s *Settings) { s.RootCAs = otherRoots }, &tls.Config{Certificates: []tls.Certificate{other}}, "cannot validate certificate")
	f("TLS 1.1", same, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, "protocol version")
}

// A plain server behind an https address, and silence there.
func TestHandshakeThatFails(t *testing.T) {
	p := provide(t, func(p *peer) { p.say("HTTP/1.1 400 Bad Request\r\n\r\n") })
	var a Attempt
	_, _, err := exchange(&a, p.client(trusting(nil)), post("{}"))
	if e := asError(t, err); e.Phase != Connect || !strings.Contains(e.Error(), "does not look like a TLS handshake") {
		t.Errorf("got %v", e)
	}

	silent := provide(t, (*peer).left)
	c := silent.client(trusting(nil), func(s *Settings) { s.Timeouts.Connect = 50 * time.Millisecond })
	began := time.Now()
	_, _, err = exchange(&a, c, post("{}"))
	if e := asError(t, err); e.Phase != Connect || !e.Timeout || errors.Is(err, io.EOF) {
		t.Errorf("got %v", e)
	}
	if took := time.Since(began); took < 50*time.Millisecond || took > time.Second {
		t.Errorf("took %v, want 50 ms", took)
	}
}
