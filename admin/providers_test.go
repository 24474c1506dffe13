package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"llmproxy/admin"
)

const seedProvider = `{"provider_key":"openai-main","provider_type":"openai","api_base":"https://api.openai.com/v1","api_key":"CANARY-sk-xxx-1234","model_mapping":{},"is_enabled":true}`

// TestLifeOfAProvider walks through every endpoint about providers; the
// answers are compared whole.
func TestLifeOfAProvider(t *testing.T) {
	g := start(t)
	golden(t, "providers_empty", g.want(200, "GET", "/admin/v1/providers", ""))
	golden(t, "provider_created", g.want(201, "POST", "/admin/v1/providers", seedProvider))

	// A write answers when it serves.
	if s := g.serving(); len(s.Providers) != 1 || s.Providers[0].APIKey.Reveal() != "CANARY-sk-xxx-1234" || s.Providers[0].Weight != 1 {
		t.Errorf("after the create %+v serves", s)
	}
	golden(t, "provider_created_full", g.want(201, "POST", "/admin/v1/providers",
		`{"provider_key":"b","provider_type":"vllm","api_base":"http://10.0.0.7:8000/v1/","api_key":"","model_mapping":{"z":"1","a<b>":"x","gpt-*":"openai/gpt-*"},`+
			`"provider_params":{"idle_timeout_ms":0,"max_concurrency":7},"weight":0,"priority":3,"is_enabled":false}`))
	golden(t, "providers_two", g.want(200, "GET", "/admin/v1/providers?provider_key=%25_%27", ""))
	golden(t, "provider_one", g.want(200, "GET", "/admin/v1/providers/1", ""))

	golden(t, "provider_updated", g.want(200, "PUT", "/admin/v1/providers/1",
		`{"api_base":"https://api.openai.com/v2","api_key":"CANARY-sk-new-key-5678","model_mapping":{"gpt-4":"gpt-4-turbo"},"is_enabled":true}`))
	p := g.serving().Providers[0]
	if p.APIBase != "https://api.openai.com/v2" || p.APIKey.Reveal() != "CANARY-sk-new-key-5678" || p.ModelMapping["gpt-4"] != "gpt-4-turbo" || p.Key != "openai-main" {
		t.Errorf("after the PUT %+v serves", p)
	}
	g.want(200, "PATCH", "/admin/v1/providers/1", `{"weight":9}`)
	if p := g.serving().Providers[0]; p.Weight != 9 || p.APIKey.Reveal() != "CANARY-sk-new-key-5678" || p.ModelMapping["gpt-4"] != "gpt-4-turbo" {
		t.Errorf("after the PATCH %+v serves", p)
	}
	g.want(200, "PATCH", "/admin/v1/providers/1", `{"model_mapping":{}}`)
	golden(t, "provider_changed", g.want(200, "GET", "/admin/v1/providers/1", ""))

	golden(t, "provider_deleted", g.want(200, "DELETE", "/admin/v1/providers/1", ""))
	if s := g.serving(); len(s.Providers) != 1 || s.Providers[0].Key != "b" {
		t.Errorf("after the DELETE %+v serves", s)
	}
	golden(t, "provider_unknown", g.want(404, "GET", "/admin/v1/providers/1", ""))
}

// TestProviderBodies holds that every fault of a body is named at once, and
// that a refused body changes nothing.
func TestProviderBodies(t *testing.T) {
	g := start(t, func(d *admin.Deps) { d.MaxBody = 1 << 20 })
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	before := g.want(200, "GET", "/admin/v1/providers", "").body
	f := func(method, body, want string) {
		t.Helper()
		path := "/admin/v1/providers"
		if method != "POST" {
			path += "/1"
		}
		if got := g.want(422, method, path, body).faults(t); got != want {
			t.Errorf("%s %.200s: faults %q, want %q", method, body, got, want)
		}
	}
	f("POST", ``, "body")
	f("POST", `{`, "body")
	f("POST", `{} x`, "body")
	f("POST", `[]`, "body")
	f("POST", `null`, "body")
	f("POST", `"x"`, "body")
	f("POST", "{\"provider_key\":\"\xff\"}", "body")
	f("POST", strings.Repeat(`{"a":`, 10_001)+`1`+strings.Repeat(`}`, 10_001), "body")
	f("POST", strings.Repeat(`[`, 60_000), "body")
	f("POST", `{}`, "provider_key api_base api_key")
	f("POST", `{"provider_key":1,"api_base":true,"api_key":null,"model_mapping":[],"provider_params":"x","weight":"1","priority":1.5,"is_enabled":"yes","provider_type":{}}`,
		"provider_key api_base api_key model_mapping provider_params weight priority is_enabled provider_type")
	f("POST", `{"provider_key":"a b","api_base":"ftp://x","api_key":"a b","model_mapping":{"":"x","a":""},"provider_params":{"idle_timeout_ms":-1,"idle":2},"weight":-1,"priority":1001,"provider_type":"","name":"x"}`,
		`name provider_params.idle provider_params.idle_timeout_ms provider_key provider_type api_base api_key model_mapping[""] model_mapping[a] weight priority`)
	f("POST", `{"provider_key":"x","api_base":"http://x","api_key":"x","weight":1,"weight":2}`, "weight")
	f("POST", `{"provider_key":"x","api_base":"http://x","api_key":"x","Weight":1,"we\u0069ght":2}`, "Weight")
	f("POST", `{"provider_key":"x","api_base":"http://x","api_key":"x","model_mapping":{"a":1,"b":null,"c":"d","c":"e"}}`, "model_mapping[a] model_mapping[b] model_mapping[c]")
	f("POST", `{"provider_key":"x","api_base":"http://x","api_key":"x","weight":1e3}`, "weight")
	f("POST", `{"provider_key":"x","api_base":"http://x","api_key":"x","weight":99999999999999999999}`, "weight")
	f("POST", `{"provider_key":"x","api_base":"http://x","api_key":"x\r\nHost: evil"}`, "api_key")
	f("PUT", `{"weight":null,"is_enabled":null,"model_mapping":null,"provider_params":null,"provider_key":null}`, "weight is_enabled model_mapping provider_params provider_key")
	f("PUT", `{"id":2,"created_at":"x","api_key_preview":"x"}`, "id created_at api_key_preview")
	f("PATCH", `{"provider_key":"","api_base":""}`, "provider_key api_base")
	f("PATCH", `[{"op":"replace"}]`, "body")

	// S11: with the reason, and without a word of the address: it may hold a key.
	for _, base := range []string{
		"", "/", "api.openai.com", "//api.openai.com", "file:///etc/passwd", "file://localhost/etc/passwd", "gopher://x", "ftp://x", "unix:///run/docker.sock", "data:,x",
		"javascript:alert(1)", "http:", "http://", "http:///v1", "http://user:pass@x", "http://user@x", "http://x#y", "http://x#", "http://x?y", "http://x?",
		"http://x\\r\\nHost: y", "http://x\\nHost: y", "http://x\\u0000", "http://x%0d%0aHost: y", "http://x y", " http://x", "http://x\\\\@y", "http://[::1", "http://x:99999",
		"http://0177.0.0.1", "http://2852039166", "http://0xa9fea9fe",
	} {
		f("POST", `{"provider_key":"x","api_key":"x","api_base":"`+base+`"}`, "api_base")
		f("PATCH", `{"api_base":"`+base+`"}`, "api_base")
	}
	if after := g.want(200, "GET", "/admin/v1/providers", "").body; after != before {
		t.Errorf("refused bodies have changed\n%s to\n%s", before, after)
	}
}

func TestMessagesOfAProvider(t *testing.T) {
	g := start(t)
	golden(t, "provider_invalid", g.want(422, "POST", "/admin/v1/providers",
		`{"provider_key":"a b","api_base":"ftp://x","weigth":1,"weight":"2","priority":null,"is_enabled":1,"provider_params":{"idle_timeout":5}}`))
}

func TestTakenProviderKey(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	golden(t, "provider_taken", g.want(409, "POST", "/admin/v1/providers", seedProvider))
	g.want(201, "POST", "/admin/v1/providers", strings.Replace(seedProvider, "openai-main", "other", 1))
	g.want(409, "PUT", "/admin/v1/providers/2", `{"provider_key":"openai-main"}`)
	g.want(200, "PUT", "/admin/v1/providers/2", `{"provider_key":"other"}`)
}

// S03, S04: only the id of an object that is there leads to one.
func TestIDsThatAreNone(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	g.want(201, "POST", "/admin/v1/credentials", `{"name":"x"}`)
	for _, id := range []string{"0", "-1", "2", "01", "+1", "1.0", "x", "1%2f", "%31", "99999999999999999999", "1;drop", "%25", "null"} {
		for _, kind := range []string{"providers", "credentials"} {
			path := fmt.Sprintf("/admin/v1/%s/%s", kind, id)
			g.want(404, "GET", path, "")
			g.want(404, "PUT", path, `{"is_enabled":false}`)
			g.want(404, "DELETE", path, "")
		}
		g.want(404, "POST", "/admin/v1/credentials/"+id+"/rotate", "")
	}
	if s := g.serving(); len(s.Providers) != 1 || len(s.Credentials) != 1 || !s.Providers[0].Enabled || !s.Credentials[0].Enabled {
		t.Errorf("%+v serves", s)
	}
}
