package admin_test

import (
	"strings"
	"testing"

	"llmproxy/config"
)

// TestLifeOfACredential walks through every endpoint about credentials; the
// answers are compared whole.
func TestLifeOfACredential(t *testing.T) {
	g := start(t)
	golden(t, "credentials_empty", g.want(200, "GET", "/admin/v1/credentials", ""))
	golden(t, "credential_created", g.want(201, "POST", "/admin/v1/credentials",
		`{"key":"sk-my-secret-key","name":"Default Key","allowed_models":["*"],"is_enabled":true}`))
	if c := g.serving().Credentials[0]; c.Hash != config.HashKey("sk-my-secret-key") || c.RateLimit != nil {
		t.Errorf("after the create %+v serves", c)
	}

	made := g.want(201, "POST", "/admin/v1/credentials", `{"name":"Limited","rate_limit":100,"allowed_models":["gpt-*","a/b"],"is_enabled":false}`)
	golden(t, "credential_made", made)
	if key := madeKey(t, made); g.serving().Credentials[1].Hash != config.HashKey(key) {
		t.Errorf("the key in the answer is not the one that serves")
	}
	golden(t, "credentials_two", g.want(200, "GET", "/admin/v1/credentials", ""))
	golden(t, "credential_one", g.want(200, "GET", "/admin/v1/credentials/1", ""))

	golden(t, "credential_updated", g.want(200, "PUT", "/admin/v1/credentials/1", `{"rate_limit":0,"name":"团队"}`))
	if c := g.serving().Credentials[0]; c.RateLimit == nil || *c.RateLimit != 0 || c.Name != "团队" || c.Hash != config.HashKey("sk-my-secret-key") {
		t.Errorf("after the PUT %+v serves", c)
	}
	g.want(200, "PATCH", "/admin/v1/credentials/1", `{"is_enabled":false}`)
	if c := g.serving().Credentials[0]; c.RateLimit == nil || *c.RateLimit != 0 || c.Enabled {
		t.Errorf("a rate_limit that is absent must stay, %+v serves", c)
	}
	g.want(200, "PATCH", "/admin/v1/credentials/1", `{"rate_limit":null}`)
	if c := g.serving().Credentials[0]; c.RateLimit != nil {
		t.Errorf("rate_limit null must take the limit away, %+v serves", c)
	}

	golden(t, "credential_deleted", g.want(200, "DELETE", "/admin/v1/credentials/1", ""))
	if s := g.serving(); len(s.Credentials) != 1 {
		t.Errorf("after the DELETE %+v serves", s)
	}
	golden(t, "credential_unknown", g.want(404, "DELETE", "/admin/v1/credentials/1", ""))
}

// Every limit can be set, changed and taken away, and what is wrong is named.
func TestLimitsOfACredential(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/credentials",
		`{"name":"team","tpm_limit":5000,"budget_usd":12.5,"budget_period":"day","max_concurrency":8,"expires_at":"2031-02-03T04:05:06.7+01:00"}`)
	golden(t, "credential_limits", g.want(200, "GET", "/admin/v1/credentials/1", ""))
	c := g.serving().Credentials[0]
	if *c.TPMLimit != 5000 || c.Budget.String() != "12.5" || c.BudgetPeriod != config.PeriodDay || *c.MaxConcurrency != 8 || c.ExpiresAt.IsZero() {
		t.Errorf("after the create %+v serves", c)
	}
	g.want(200, "PATCH", "/admin/v1/credentials/1", `{"name":"same"}`)
	if c := g.serving().Credentials[0]; *c.TPMLimit != 5000 || c.ExpiresAt.IsZero() {
		t.Errorf("limits that are absent must stay, %+v serves", c)
	}
	g.want(200, "PATCH", "/admin/v1/credentials/1", `{"tpm_limit":null,"budget_usd":null,"max_concurrency":null,"expires_at":null,"budget_period":"total"}`)
	if c := g.serving().Credentials[0]; c.TPMLimit != nil || c.Budget != nil || c.MaxConcurrency != nil || !c.ExpiresAt.IsZero() || c.BudgetPeriod != config.PeriodTotal {
		t.Errorf("null must take limits away, %+v serves", c)
	}
	golden(t, "credential_limits_invalid", g.want(422, "PATCH", "/admin/v1/credentials/1",
		`{"tpm_limit":-1,"budget_usd":"5","budget_period":"week","max_concurrency":1.5,"expires_at":"tomorrow"}`))
	g.want(422, "PATCH", "/admin/v1/credentials/1", `{"budget_period":null}`)
}

func madeKey(t *testing.T, a answer) string {
	t.Helper()
	var body struct{ Key string }
	a.decode(t, &body)
	if !strings.HasPrefix(body.Key, "sk-") || len(body.Key) != 46 {
		t.Fatalf("made key %q", body.Key)
	}
	return body.Key
}

func TestRotate(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/credentials", `{"key":"sk-my-secret-key","name":"Default Key","rate_limit":5,"allowed_models":["a"]}`)
	for _, body := range []string{"", "{}", " \n"} {
		before := g.serving().Credentials[0]
		rotated := g.want(200, "POST", "/admin/v1/credentials/1/rotate", body)
		golden(t, "credential_rotated", replaceVersion(rotated))
		after := g.serving().Credentials[0]
		if after.Hash == before.Hash || after.Hash != config.HashKey(madeKey(t, rotated)) {
			t.Errorf("body %q: the new key does not serve", body)
		}
		if after.Name != before.Name || *after.RateLimit != 5 || after.AllowedModels[0] != "a" {
			t.Errorf("body %q: rotate has changed %+v to %+v", body, before, after)
		}
	}
	for body, want := range map[string]string{`{"key":"sk-mine-mine"}`: "key", `x`: "body", `[]`: "body"} {
		if got := g.want(422, "POST", "/admin/v1/credentials/1/rotate", body).faults(t); got != want {
			t.Errorf("rotate with %s: faults %q, want %q", body, got, want)
		}
	}
	g.want(404, "POST", "/admin/v1/credentials/7/rotate", "")
}

// replaceVersion makes answers of different versions equal.
func replaceVersion(a answer) answer {
	_, rest, _ := strings.Cut(a.body, ",")
	a.body = `{"version":0,` + rest
	return a
}

func TestCredentialBodies(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/credentials", `{"key":"sk-my-secret-key","name":"Default Key"}`)
	before := g.want(200, "GET", "/admin/v1/credentials", "").body
	f := func(method, body, want string) {
		t.Helper()
		path := "/admin/v1/credentials"
		if method != "POST" {
			path += "/1"
		}
		if got := g.want(422, method, path, body).faults(t); got != want {
			t.Errorf("%s %s: faults %q, want %q", method, body, got, want)
		}
	}
	f("POST", `{}`, "name")
	f("POST", `{"name":""}`, "name")
	f("POST", `{"name":"a\u0000b"}`, "name")
	f("POST", `{"name":"`+strings.Repeat("n", 129)+`"}`, "name")
	f("POST", `{"name":"x","key":""}`, "key")
	f("POST", `{"name":"x","key":null}`, "key")
	f("POST", `{"name":"x","key":"short"}`, "key")
	f("POST", `{"name":"x","key":"sk-with a space"}`, "key")
	f("POST", `{"name":"x","key":"sk-line\r\nbreak"}`, "key")
	f("POST", `{"name":"x","key":7}`, "key")
	f("POST", `{"name":"x","rate_limit":-1}`, "rate_limit")
	f("POST", `{"name":"x","rate_limit":"5"}`, "rate_limit")
	f("POST", `{"name":"x","rate_limit":1.5}`, "rate_limit")
	f("POST", `{"name":"x","rate_limit":100000001}`, "rate_limit")
	f("POST", `{"name":"x","allowed_models":"*"}`, "allowed_models")
	f("POST", `{"name":"x","allowed_models":null}`, "allowed_models")
	f("POST", `{"name":"x","allowed_models":["ok","",1]}`, "allowed_models[2]")
	f("POST", `{"name":"x","allowed_models":["ok","","*a"]}`, "allowed_models[1] allowed_models[2]")
	f("POST", `{"name":null,"is_enabled":0,"hash":"x","rate":5}`, "hash rate name is_enabled")
	f("PUT", `{"key":"sk-another-key"}`, "key")
	f("PUT", `{"name":null,"allowed_models":null,"is_enabled":null}`, "name allowed_models is_enabled")
	f("PATCH", `{"key_preview":"x"}`, "key_preview")
	if after := g.want(200, "GET", "/admin/v1/credentials", "").body; after != before {
		t.Errorf("refused bodies have changed\n%s to\n%s", before, after)
	}
}

func TestTakenClientKey(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/credentials", `{"key":"sk-my-secret-key","name":"a"}`)
	golden(t, "credential_taken", g.want(409, "POST", "/admin/v1/credentials", `{"key":"sk-my-secret-key","name":"b"}`))
	// Two may have one name: it is a label, not an identity.
	g.want(201, "POST", "/admin/v1/credentials", `{"name":"a"}`)
}
