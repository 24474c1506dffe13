package gatewaytest

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

// NewCanary makes a secret that is found wherever it leaks to. The kind tells
// which one it was.
func NewCanary(kind string) string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	return "canary-" + kind + "-" + hex.EncodeToString(b)
}

// Canary plants secrets: the gateway may never print them, nor show them in
// its metrics. Keys that are made through this package are planted already;
// prompts and answers are for the test to plant.
func (g *Gateway) Canary(secrets ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.canaries = append(g.canaries, secrets...)
}

// checkSecrets looks for every canary in a text.
func (g *Gateway) checkSecrets(tb testing.TB, where, text string) {
	tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, secret := range g.canaries {
		if at := strings.Index(text, secret); secret != "" && at >= 0 {
			tb.Errorf("%s holds a secret: …%s…", where, text[max(0, at-100):min(len(text), at+len(secret)+100)])
		}
	}
}

// checkMetrics looks for canaries in the metrics page, if it can be had.
func (g *Gateway) checkMetrics(tb testing.TB) {
	tb.Helper()
	if !strings.HasPrefix(g.URL, "http:") {
		return
	}
	if _, page, err := g.get("/metrics", ""); err == nil {
		g.checkSecrets(tb, "/metrics", page)
	}
}
