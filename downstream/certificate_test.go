package downstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pemPair is a self-signed certificate and its key.
type pemPair struct{ cert, key []byte }

var serial atomic.Int64

func newPair(t testing.TB, name string) pemPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	return pemPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}
}

func writePair(t testing.TB, certFile, keyFile string, p pemPair) {
	t.Helper()
	must(t, os.WriteFile(certFile, p.cert, 0o600))
	must(t, os.WriteFile(keyFile, p.key, 0o600))
}

// Each step changes the files, lets some time pass and says which certificate
// must be in force and how often the change was reported until then.
func TestCertificateRotation(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first, second, third := newPair(t, "first"), newPair(t, "second"), newPair(t, "third")
	writePair(t, certFile, keyFile, first)
	var good, bad int
	c, err := LoadCertificate(certFile, keyFile, func(err error) {
		if err != nil {
			bad++
		} else {
			good++
		}
	})
	must(t, err)
	var age time.Duration
	stamp := time.Now()

	f := func(what string, change func(), later time.Duration, inForce string, wantGood, wantBad int) {
		t.Helper()
		change()
		age += later
		c.refresh(age)
		if got := c.current.Load().Leaf.Subject.CommonName; got != inForce || good != wantGood || bad != wantBad {
			t.Fatalf("%s: %q in force, %d good and %d bad changes reported; want %q, %d, %d",
				what, got, good, bad, inForce, wantGood, wantBad)
		}
	}
	nothing := func() {}
	write := func(name string, data []byte) {
		must(t, os.WriteFile(name, data, 0o600))
		stamp = stamp.Add(time.Second) // however coarse the file system's clock is
		must(t, os.Chtimes(name, stamp, stamp))
	}

	f("unchanged", nothing, 2*time.Second, "first", 0, 0)
	f("half of a new pair", func() { write(certFile, second.cert) }, 2*time.Second, "first", 0, 1)
	f("still half", nothing, 2*time.Second, "first", 0, 1)
	f("the other half, too soon to look", func() { write(keyFile, second.key) }, time.Second/2, "first", 0, 1)
	f("a moment later", nothing, time.Second/2, "second", 1, 1)
	f("garbage", func() { write(certFile, bytes.Repeat([]byte("x"), 100)) }, 2*time.Second, "second", 1, 2)
	f("gone", func() { must(t, os.Remove(certFile)) }, 2*time.Second, "second", 1, 3)
	f("still gone", nothing, 2*time.Second, "second", 1, 3)
	f("a third", func() { write(certFile, third.cert); write(keyFile, third.key) }, 2*time.Second, "third", 2, 3)
	if !c.NotAfter().After(time.Now()) {
		t.Fatal("NotAfter is not the certificate's")
	}
}

func TestLoadCertificateRefuses(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	f := func(what string) {
		t.Helper()
		if _, err := LoadCertificate(certFile, keyFile, nil); err == nil {
			t.Fatal("accepted", what)
		}
	}
	f("missing files")
	writePair(t, certFile, keyFile, pemPair{newPair(t, "a").cert, newPair(t, "b").key})
	f("another pair's key")
}

// Many handshakes at once while the files change: one reads, nobody waits, and
// all get a whole pair.
func TestCertificateConcurrently(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, certFile, keyFile, newPair(t, "a"))
	c, err := LoadCertificate(certFile, keyFile, nil)
	must(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				c.refresh(time.Duration(i) * time.Second)
				if cert, err := c.Get(nil); err != nil || cert.Leaf == nil {
					t.Error("no certificate", err)
				}
			}
		})
	}
	for range 20 {
		writePair(t, certFile, keyFile, newPair(t, "b"))
	}
	wg.Wait()
}

// The certificate that new connections see changes while an old one goes on.
func TestRotationUnderConnections(t *testing.T) {
	certFile, keyFile := t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	writePair(t, certFile, keyFile, newPair(t, "old"))
	cert, err := LoadCertificate(certFile, keyFile, nil)
	must(t, err)
	ln := NewTLSListener(listen(t, Options{}), cert)
	old, oldName := shake(t, ln)
	writePair(t, certFile, keyFile, newPair(t, "the new one"))
	cert.next.Store(0)
	_, newName := shake(t, ln)
	if oldName != "old" || newName != "the new one" {
		t.Fatalf("saw %q, then %q", oldName, newName)
	}
	if _, err := old.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
}

// shake makes one TLS connection to ln and returns the client's end and the
// name on the certificate it saw.
func shake(t *testing.T, ln *TLSListener) (*tls.Conn, string) {
	t.Helper()
	served := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			err = conn.(*tlsConn).Handshake()
		}
		served <- err
	}()
	client, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	must(t, within(t, "the handshake", served))
	return client, client.ConnectionState().PeerCertificates[0].Subject.CommonName
}
