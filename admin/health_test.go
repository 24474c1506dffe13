package admin_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"llmproxy/admin"
	"llmproxy/health"
)

// asked is a prober that remembers the question.
type asked struct {
	allHealthy
	query    health.Query
	deadline time.Duration
}

func (p *asked) Check(ctx context.Context, q health.Query) *health.Report {
	p.query = q
	if end, ok := ctx.Deadline(); ok {
		p.deadline = time.Until(end)
	}
	return p.allHealthy.Check(ctx, q)
}

func TestHealthCheck(t *testing.T) {
	prober := &asked{}
	g := start(t, func(d *admin.Deps) { d.Prober = prober })
	f := func(body string, want health.Query) {
		t.Helper()
		g.want(200, "POST", "/admin/v1/health/check", body)
		if !reflect.DeepEqual(prober.query, want) {
			t.Errorf("%s: asked %+v, want %+v", body, prober.query, want)
		}
		if prober.deadline < want.Timeout || prober.deadline > want.Timeout+10*time.Second {
			t.Errorf("%s: may take %v, want %v and a little", body, prober.deadline, want.Timeout)
		}
	}
	f(``, health.Query{Timeout: 10 * time.Second, MaxConcurrent: 8})
	f(`{}`, health.Query{Timeout: 10 * time.Second, MaxConcurrent: 8})
	f(`{"provider_ids":[],"models":[]}`, health.Query{Timeout: 10 * time.Second, MaxConcurrent: 8})
	f(`{"provider_ids":[ 2 ,1],"models":["gpt-4"],"timeout_secs":120,"max_concurrent":1}`,
		health.Query{ProviderIDs: []int64{2, 1}, Models: []string{"gpt-4"}, Timeout: 2 * time.Minute, MaxConcurrent: 1})

	golden(t, "health_all", g.want(200, "POST", "/admin/v1/health/check", `{"models":["m"]}`))
	golden(t, "health_one", g.want(200, "GET", "/admin/v1/health/providers/2", ""))
	golden(t, "health_unknown", g.want(404, "GET", "/admin/v1/health/providers/9", ""))
	g.want(404, "GET", "/admin/v1/health/providers/x", "")
	g.want(404, "POST", "/admin/v1/health/check", `{"provider_ids":[1,9]}`)
}

func TestHealthCheckBodies(t *testing.T) {
	g := start(t)
	f := func(body, want string) {
		t.Helper()
		if got := g.want(422, "POST", "/admin/v1/health/check", body).faults(t); got != want {
			t.Errorf("%s: faults %q, want %q", body, got, want)
		}
	}
	f(`x`, "body")
	f(`[]`, "body")
	f(`{"provider_ids":null,"models":null,"timeout_secs":null,"max_concurrent":null}`, "provider_ids models timeout_secs max_concurrent")
	f(`{"provider_ids":["1"],"models":[1],"timeout_secs":0,"max_concurrent":65}`, "provider_ids models timeout_secs max_concurrent")
	f(`{"provider_ids":[0],"models":[""],"timeout_secs":121,"max_concurrent":0}`, "provider_ids models timeout_secs max_concurrent")
	f(`{"provider_ids":[1.5],"models":"gpt-4","timeout_secs":1.5,"max_concurrent":"1"}`, "provider_ids models timeout_secs max_concurrent")
	f(`{"provider_id":1}`, "provider_id")
	f(`{"timeout_secs":1,"timeout_secs":2}`, "timeout_secs")
	f(`{"provider_ids":[`+strings.Repeat("1,", 1000)+`1]}`, "provider_ids")
}
