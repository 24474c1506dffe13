package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned writes a certificate of the loopback and its key into files, and
// returns the settings that name them and who trusts it alone.
func selfSigned(t *testing.T) (env map[string]string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "gateway"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	env = map[string]string{}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"TLS_CERT_FILE": {Type: "CERTIFICATE", Bytes: der}, "TLS_KEY_FILE": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		env[name] = filepath.Join(dir, name)
		if err := os.WriteFile(env[name], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return env, trust
}

// S25: TLS_CERT_FILE is for both listeners. Then the operators' may be on every
// address without ADMIN_PLAIN_HTTP: it speaks TLS, asks for its key as it does in
// plain, and who comes with plain HTTP gets nothing, not even with the key.
func TestOperatorsListenerOverTLS(t *testing.T) {
	env, trust := selfSigned(t)
	env["ADMIN_ADDR"] = "0.0.0.0:0"
	g := startInProcess(t, env)
	defer g.stopAndWait(t)
	operators := operatorsURL(t, g.out.String())
	if !strings.HasPrefix(g.url, "https://") || !strings.HasPrefix(operators, "https://") {
		t.Fatalf("clients at %s, operators at %s", g.url, operators)
	}
	f := func(url, key string, want int) string {
		t.Helper()
		status, page := g.askTrusting(t, trust, url, key)
		if status != want {
			t.Errorf("%s with the key %q: %d, want %d: %.100s", url, key, status, want, page)
		}
		return page
	}
	if page := f(operators+"/metrics", "", 200); !strings.Contains(page, "llm_proxy_build_info") {
		t.Errorf("no metrics: %.100s", page)
	}
	f(operators+"/health", "", 200)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/admin/v1/providers"} {
		f(operators+path, "", 401)
		f(operators+path, "wrong", 401)
		f(operators+path, testAdminKey, 200)
		f(g.url+path, testAdminKey, 404)
	}
	f(operators+"/v1/models", testAdminKey, 404)
	f(g.url+"/metrics", "", 404)
	g.refusesPlain(t, strings.TrimPrefix(operators, "https://"))
	if _, err := newClient(t).Get(operators + "/health"); err == nil {
		t.Error("who does not trust the certificate is answered")
	}
}

// askTrusting fetches a page by TLS, with a bearer key unless it is empty.
func (g *inProcess) askTrusting(t *testing.T, trust *x509.CertPool, url, key string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if q.Close = true; key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	c := newClient(t)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12}
	resp, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, read(t, resp, nil)
}

// refusesPlain demands that plain HTTP gets nothing from an address but the word
// that TLS is spoken there.
func (g *inProcess) refusesPlain(t *testing.T, address string) {
	t.Helper()
	for _, path := range []string{"/metrics", "/health", "/debug/pprof/", "/admin/v1/providers"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+address+"\r\nAuthorization: Bearer "+testAdminKey+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(conn) // a reset ends it as well
		conn.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "https") || len(answer) > 1000 {
			t.Errorf("plain HTTP for %s: %.300q", path, answer)
		}
	}
}
