package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fields returns where the problems are.
func fields(problems Problems) []string {
	names := []string{}
	for _, p := range problems {
		names = append(names, p.Field)
	}
	return names
}

func goodProvider() Provider {
	return Provider{Key: "openai-main", Type: "openai", APIBase: "https://api.openai.com/v1", APIKey: "sk-provider", Weight: 1, Enabled: true}
}

func goodCredential() Credential {
	return Credential{Hash: HashKey("sk-client-key"), Preview: Preview("sk-client-key"), Name: "Default Key", Enabled: true}
}

func ptr(n int64) *int64 { return &n }

func TestProviderFaults(t *testing.T) {
	f := func(change func(*Provider), want ...string) {
		t.Helper()
		p := goodProvider()
		change(&p)
		if got := fields(p.Validate()); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("provider %+v: faults %v, want %v", p, got, want)
		}
	}
	f(func(p *Provider) {})
	f(func(p *Provider) { p.APIKey = "" })
	f(func(p *Provider) { p.Key = "" }, "provider_key")
	f(func(p *Provider) { p.Key = "a b" }, "provider_key")
	f(func(p *Provider) { p.Key = "a\r\nx: y" }, "provider_key")
	f(func(p *Provider) { p.Key = strings.Repeat("k", 64) })
	f(func(p *Provider) { p.Key = strings.Repeat("k", 65) }, "provider_key")
	f(func(p *Provider) { p.Type = "" }, "provider_type")
	f(func(p *Provider) { p.Type = "OpenAI" }, "provider_type")
	f(func(p *Provider) { p.Type = "azure_open-ai2" })
	f(func(p *Provider) { p.APIKey = "two words" }, "api_key")
	f(func(p *Provider) { p.APIKey = "x\r\nHost: evil" }, "api_key")
	f(func(p *Provider) { p.APIKey = "schlüssel" }, "api_key")
	f(func(p *Provider) { p.APIKey = Secret(strings.Repeat("k", 4097)) }, "api_key")
	f(func(p *Provider) { p.Weight = -1; p.Priority = -1 }, "weight", "priority")
	f(func(p *Provider) { p.Weight = 1_000_000; p.Priority = 1000 })
	f(func(p *Provider) { p.Weight = 1_000_001; p.Priority = 1001 }, "weight", "priority")
	f(func(p *Provider) { p.Params.IdleTimeoutMS = ptr(-1) }, "provider_params.idle_timeout_ms")
	f(func(p *Provider) { p.Params.IdleTimeoutMS = ptr(0) })
	f(func(p *Provider) { *p = Provider{} }, "provider_key", "provider_type", "api_base")
}

func TestModelMappingFaults(t *testing.T) {
	f := func(name, to string, want ...string) {
		t.Helper()
		p := goodProvider()
		p.ModelMapping = map[string]string{name: to}
		if got := fields(p.Validate()); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("mapping %q to %q: faults %v, want %v", name, to, got, want)
		}
	}
	f("gpt-4", "gpt-4-turbo")
	f("org/模型", "x")
	f("gpt-*", "openai/gpt-*")
	f("gpt-*", "gpt-4")
	f("*", "*")
	f("gpt-4", "", "model_mapping[gpt-4]")
	f("gpt-4", "gpt-*", "model_mapping[gpt-4]")
	f("", "x", `model_mapping[""]`)
	f("g*t", "x", "model_mapping[g*t]")
	f("**", "x", "model_mapping[**]")
	f("a\nb", "x", `model_mapping["a\nb"]`)
	f("a\xff", "x", `model_mapping["a\xff"]`)
	f("g", "a\x00", "model_mapping[g]")
	f(strings.Repeat("m", 256), "x")
	f(strings.Repeat("m", 257), "x", "model_mapping["+strings.Repeat("m", 61)+"...]")
}

// S11: the address of a provider is where its key goes. S12: an address has one
// spelling, the one that everybody reads alike.
func TestAPIBase(t *testing.T) {
	f := func(base string, good bool) {
		t.Helper()
		p := goodProvider()
		p.APIBase = base
		p.Normalize()
		if got := len(p.Validate()) == 0; got != good {
			t.Errorf("api_base %q: accepted %v, want %v: %v", base, got, good, p.Validate())
		}
	}
	f("https://api.openai.com/v1", true)
	f("https://api.openai.com/v1/", true)
	f("http://localhost:11434/v1", true)
	f("http://10.0.0.7:8000", true)
	f("http://[fd00::7]:8000/v1", true)
	f("HTTPS://api.example.com/a%2Fb", true)
	f("http://model_server:80/v1", true)
	f("http://127.0.0.1:8000", true)
	f("http://gpu1.2b:80/v1", true)
	f("http://[::ffff:10.0.0.1]", true)
	for _, base := range []string{
		"", "/", "api.openai.com/v1", "//api.openai.com", "file:///etc/passwd", "gopher://x/1", "ftp://x", "javascript:alert(1)",
		"http://", "http:///v1", "https:api.openai.com", "http://user:pass@host", "http://user@host", "http://@host",
		"http://host?x=1", "http://host?", "http://host#x", "http://host#", "http://host\r\nx: y", "http://host /", " http://host", "http://host\t",
		"http://host:", "http://host:0", "http://host:65536", "http://host:http", "http://ho\x00st", "http://höst", "http://a%20b/", "http://a,b",
		"http://.", "http://a..b", "http://[::1", "http://[fe80::1%25eth0]/", "http://host\\@evil",
		"http://0177.0.0.1", "http://0251.0376.0251.0376", "http://127.1", "http://2852039166", "http://0xa9fea9fe", "http://0xA9.0xfe.0xa9.0xfe", "http://169.254.43518",
		"http://127.0.0.1.", "http://1.2.3.4.5", "http://256.1.1.1", "http://host.0x", "http://host.1", "http://" + strings.Repeat("a", 2048),
	} {
		f(base, false)
	}
}

func TestCredentialFaults(t *testing.T) {
	f := func(change func(*Credential), want ...string) {
		t.Helper()
		c := goodCredential()
		change(&c)
		if got := fields(c.Validate()); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("credential %+v: faults %v, want %v", c, got, want)
		}
	}
	f(func(c *Credential) {})
	f(func(c *Credential) { c.Name = "" }, "name")
	f(func(c *Credential) { c.Name = "  " }, "name")
	f(func(c *Credential) { c.Name = "团队 A" })
	f(func(c *Credential) { c.Name = "a\nb" }, "name")
	f(func(c *Credential) { c.Name = strings.Repeat("键", 128) })
	f(func(c *Credential) { c.Name = strings.Repeat("键", 129) }, "name")
	f(func(c *Credential) { c.Hash = "sk-plain" }, "key")
	f(func(c *Credential) { c.Hash = strings.ToUpper(c.Hash) }, "key")
	f(func(c *Credential) { c.Preview = strings.Repeat("p", 65) }, "key_preview")
	f(func(c *Credential) { c.AllowedModels = []string{"*", "gpt-*", "a/b"} })
	f(func(c *Credential) { c.AllowedModels = []string{"ok", "", "*x"} }, "allowed_models[1]", "allowed_models[2]")
	f(func(c *Credential) { c.RateLimit = ptr(0) })
	f(func(c *Credential) { c.RateLimit = ptr(-1) }, "rate_limit")
	f(func(c *Credential) { c.RateLimit = ptr(100_000_001) }, "rate_limit")
	f(func(c *Credential) { c.TPMLimit = ptr(-1) }, "tpm_limit")
	f(func(c *Credential) { c.MaxConcurrency = ptr(-1) }, "max_concurrency")
	f(func(c *Credential) { c.Budget = pointer(-1) }, "budget_usd")
	f(func(c *Credential) { c.BudgetPeriod = "week" }, "budget_period")
}

func TestSetReportsEverything(t *testing.T) {
	a, b, c, d := goodProvider(), goodProvider(), goodProvider(), goodProvider()
	b.Weight = -1
	c.Key = "not a key"
	d.Key, d.APIBase = "other", "ftp://x"
	x, y, z := goodCredential(), goodCredential(), goodCredential()
	y.Name = "Second"
	z.Name, z.Hash = "\n", HashKey("another")
	set := &Set{Providers: []Provider{a, b, c, d}, Credentials: []Credential{x, y, z}}

	var got Problems
	if err := set.Validate(); !errors.As(err, &got) {
		t.Fatalf("Validate() = %v, want Problems", err)
	}
	want := []string{
		"providers[openai-main].weight", "providers[openai-main].provider_key", "providers[2].provider_key", "providers[other].api_base",
		"credentials[Second].key", "credentials[2].name",
	}
	if !reflect.DeepEqual(fields(got), want) {
		t.Errorf("faults %v, want %v", fields(got), want)
	}
	if line := got.Error(); strings.Contains(line, "\n") || strings.Count(line, "; ") != len(want)-1 {
		t.Errorf("Error() = %q, want all faults in one line", line)
	}
}

func TestGoodSetIsNil(t *testing.T) {
	set := &Set{Providers: []Provider{goodProvider()}, Credentials: []Credential{goodCredential()}}
	if err := set.Validate(); err != nil {
		t.Errorf("Validate() = %v, want nil", err)
	}
	if err := new(Set).Validate(); err != nil {
		t.Errorf("Validate() of an empty set = %v, want nil", err)
	}
}

func TestNormalize(t *testing.T) {
	set := &Set{Providers: []Provider{{APIBase: "http://x/v1//"}}}
	set.Normalize()
	if p := set.Providers[0]; p.APIBase != "http://x/v1" {
		t.Errorf("normalized to %q", p.APIBase)
	}
}

// TestValidateNeverPanicsNorTells holds for any values: no panic, one line,
// and no secret in the message.
func TestValidateNeverPanicsNorTells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~\r\n\x80]{0,80}`))
		number := rapid.Int64()
		const canary = "CANARY-3141592653"
		set := &Set{
			Providers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Provider {
				return Provider{
					Key: text.Draw(t, "key"), Type: text.Draw(t, "type"), APIBase: "https://u:" + canary + "@h" + text.Draw(t, "base"),
					APIKey: Secret(canary + " " + text.Draw(t, "api key")), ModelMapping: rapid.MapOf(text, text).Draw(t, "mapping"),
					Params: Params{TotalTimeoutMS: ptr(number.Draw(t, "total"))}, Weight: int(number.Draw(t, "weight")),
				}
			}), 0, 3).Draw(t, "providers"),
			Credentials: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Credential {
				return Credential{
					Hash: canary + text.Draw(t, "hash"), Preview: text.Draw(t, "preview"), Name: text.Draw(t, "name"),
					AllowedModels: rapid.SliceOf(text).Draw(t, "models"), RateLimit: ptr(number.Draw(t, "rate")),
				}
			}), 0, 3).Draw(t, "credentials"),
		}
		set.Normalize()
		err := set.Validate()
		if len(set.Providers)+len(set.Credentials) > 0 && err == nil {
			t.Fatalf("a set with broken keys is content")
		}
		if err != nil && (strings.Contains(err.Error(), canary) || strings.ContainsAny(err.Error(), "\r\n")) {
			t.Fatalf("message tells a secret or breaks the line: %q", err)
		}
	})
}
