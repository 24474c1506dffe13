package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"llmproxy/config"
	"llmproxy/demo"
	"llmproxy/route"
	"llmproxy/store"
)

// announce tells whoever started the gateway where it is, what is on and what
// is off, and, once, the keys that were made. It is one write, so that no line
// of the log comes between.
func (g *gateway) announce(out io.Writer, doors *listeners, made firstStart) {
	var (
		text      bytes.Buffer
		base      = g.base(doors.clients.Addr())
		operators = base
	)
	if doors.operators != nil {
		operators = g.base(doors.operators.Addr())
	}
	fmt.Fprintf(&text, "llm-proxy %s on %s\n\n", version, base)
	writeTree(&text, g.state(operators))
	if made.clientKey != "" || made.adminKey != "" {
		text.WriteString("\nMade for you, and shown only now:\n")
	}
	if made.clientKey != "" {
		fmt.Fprintf(&text, "  client key  %s\n", made.clientKey)
	}
	if made.adminKey != "" {
		fmt.Fprintf(&text, "  admin key   %s\n", made.adminKey)
	}
	if made.clientKey != "" {
		fmt.Fprintf(&text, "\nTry it:\n%s\n", tryIt(base, made.clientKey, firstModel(g.live.Table())))
	}
	fmt.Fprintf(&text, "\n  %s/docs     every endpoint, to try in the browser\n  %s/metrics  for Prometheus\n  %s/health   is it up\n\n",
		base, operators, base)
	_, _ = text.WriteTo(out) // nobody reads: nobody to tell
}

// base is where a person on this machine reaches the gateway.
func (g *gateway) base(address net.Addr) string {
	scheme := "http://"
	if g.o.TLSCertFile != "" {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return scheme + address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}

// fact is a line of the tree: something that is on or off, and what to know of it.
type fact struct {
	name   string
	on     bool
	detail string
}

// state collects what is on and what is off; operators is where a person
// reaches the pages for operators.
func (g *gateway) state(operators string) []fact {
	t := g.live.Table()
	open := g.o.AllowAnonymous && (t.Empty() || len(t.Set().Credentials) == 0)
	facts := []fact{
		{"store", g.outage == nil, g.storeDetail()},
		{"configuration", !t.Empty(), g.configurationDetail(t)},
		{"client auth", !open, choose(open, "ALLOW_ANONYMOUS lets everyone in while there is no client key", "a key on every request")},
		{"admin API", g.adminKey.isSet, choose(g.adminKey.isSet, "/admin/v1", "set ADMIN_KEY")},
		{"encrypted provider keys", g.o.SecretKey != "", choose(g.o.SecretKey != "", "AES-256-GCM", "provider keys lie in plain text: set SECRET_KEY")},
		{"TLS", g.o.TLSCertFile != "", g.tlsDetail()},
		{"metrics", true, choose(g.o.MetricsKey != "", "/metrics, with METRICS_KEY", "/metrics, open to all who reach "+choose(g.o.AdminAddr != "" && !g.o.AdminOnPublicPort, "the operators' listener", "this port"))},
		{"provider certificates", g.o.VerifySSL, choose(g.o.VerifySSL, "checked", "VERIFY_SSL=false: anybody may pose as a provider")},
	}
	if g.o.AdminAddr != "" {
		facts = append(facts, fact{"operators' listener", true, operators + ", " + g.operatorsDetail()})
	}
	return facts
}

// operatorsDetail says what is on the listener for operators.
func (g *gateway) operatorsDetail() string {
	detail := choose(g.o.AdminOnPublicPort, "for profiles; the Admin API and the metrics are on both", "alone has the Admin API, the metrics and profiles")
	if host, _, _ := net.SplitHostPort(g.o.AdminAddr); !config.IsLoopback(host) && g.o.TLSCertFile == "" {
		detail += "; ADMIN_PLAIN_HTTP: the admin key travels in plain text"
	}
	return detail
}

func choose(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

func (g *gateway) storeDetail() string {
	switch {
	case g.embedded():
		return "SQLite in " + g.o.DataDir
	case g.outage != nil:
		return "PostgreSQL cannot be used yet: " + strings.TrimPrefix(g.outage.Error(), store.ErrUnavailable.Error()+": ")
	}
	return "PostgreSQL"
}

func (g *gateway) tlsDetail() string {
	ip := net.ParseIP(g.o.Host)
	switch {
	case g.o.TLSCertFile != "":
		return g.o.TLSCertFile
	case g.o.Host == "localhost" || ip != nil && ip.IsLoopback():
		return "plain HTTP, for this machine alone"
	}
	return "keys and prompts travel in plain text: set TLS_CERT_FILE and TLS_KEY_FILE, unless a proxy in front has TLS"
}

func (g *gateway) configurationDetail(t *route.Table) string {
	if t.Empty() {
		return "none yet: nothing is served until the store answers"
	}
	names := make([]string, 0, len(t.Providers))
	for _, p := range t.Providers {
		names = append(names, p.Name)
	}
	if len(names) > 5 {
		names = append(names[:5], "…")
	}
	detail := fmt.Sprintf("version %d: %s (%s), %s", t.Version, count(len(t.Providers), "provider"),
		strings.Join(names, ", "), count(len(t.Set().Credentials), "client key"))
	if g.outage != nil {
		detail += "; saved " + g.savedAt.Local().Format(time.DateTime)
	}
	if len(names) == 1 && names[0] == demoKey && g.demo != nil {
		detail += "; the demo provider goes when you add one"
	}
	return detail
}

func writeTree(out io.Writer, facts []fact) {
	for i, f := range facts {
		branch, mark := "├─", "on "
		if i == len(facts)-1 {
			branch = "└─"
		}
		if !f.on {
			mark = "off"
		}
		fmt.Fprintf(out, "  %s %s  %-24s %s\n", branch, mark, f.name, f.detail)
	}
}

// tryIt is a command line that streams an answer.
func tryIt(base, key, model string) string {
	return fmt.Sprintf(`  curl -N %s/v1/chat/completions \
    -H "Authorization: Bearer %s" -H "Content-Type: application/json" \
    -d '{"model":"%s","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'`, base, key, model)
}

// firstModel names a model that answers.
func firstModel(t *route.Table) string {
	for name := range t.Models {
		return name
	}
	if t.Any() != nil {
		return "gpt-4o-mini"
	}
	return demo.Model
}
