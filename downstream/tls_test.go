package downstream

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func hello(_ *rig, ctx *fasthttp.RequestCtx) {
	if !ctx.IsTLS() {
		ctx.Error("not TLS", 500)
		return
	}
	ctx.SetBodyString("hello")
}

func TestTLSVersions(t *testing.T) {
	r := newRig(t, Options{}, true, hello)
	f := func(version uint16, ok bool) {
		t.Helper()
		config := &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}
		conn, err := tls.Dial("tcp", r.addr, config)
		if (err == nil) != ok {
			t.Fatalf("%s: %v", tls.VersionName(version), err)
		}
		if !ok {
			return
		}
		defer conn.Close()
		if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Fatalf("%s: speaks %q", tls.VersionName(version), got)
		}
	}
	f(tls.VersionTLS11, false)
	f(tls.VersionTLS12, true)
	f(tls.VersionTLS13, true)

	c := r.dial(t)
	for range 3 {
		c.get("/")
		if got := c.answer(); got != "200 hello" {
			t.Fatal(got)
		}
	}
}

// What is no handshake ends the connection: counted, not logged, and not
// answered but to who speaks plain HTTP.
func TestBadHandshake(t *testing.T) {
	r := newRig(t, Options{}, true, hello)
	bad := int64(0)
	f := func(send, wantBegin string) {
		t.Helper()
		c := r.dial(t)
		_, err := io.WriteString(c.tcp, send)
		must(t, err)
		c.tcp.CloseWrite()
		got, _ := io.ReadAll(c.tcp)
		if !strings.HasPrefix(string(got), wantBegin) || wantBegin == "" && strings.Contains(string(got), "HTTP") {
			t.Fatalf("%q was answered with %q", send, got)
		}
		bad++
		eventually(t, "counted", func() bool { return r.Stats().BadHandshake == bad })
	}
	f("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ")
	f("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ")
	f("SSH-2.0-OpenSSH_9.2\r\n", "")
	f("\x16\x03", "")
	f("", "")
	eventually(t, "closed", func() bool { return r.Stats().Open == 0 })
	if n := r.log.lines.Load(); n != 0 {
		t.Fatalf("%d lines logged", n)
	}
}

// A client that connects and says nothing is cut when the handshake's time is
// over.
func TestHandshakeTimeout(t *testing.T) {
	certFile, keyFile := t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	writePair(t, certFile, keyFile, newPair(t, "localhost"))
	cert, err := LoadCertificate(certFile, keyFile, nil)
	must(t, err)
	l := listen(t, Options{})
	ln := NewTLSListener(l, cert)
	ln.limit = 50 * time.Millisecond
	s := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}, MaxIdleWorkerDuration: 10 * time.Millisecond}
	go s.Serve(ln)
	defer s.Shutdown()
	r := &rig{Listener: l, addr: l.Addr().String()}
	began := time.Now()
	c := r.dial(t)
	if _, err := io.ReadAll(c.tcp); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < ln.limit || r.Stats().BadHandshake != 1 {
		t.Fatalf("cut after %v, %+v", took, r.Stats())
	}
}
