package admin

import (
	"testing"

	"llmproxy/config"
)

// FuzzProviderBody: a body is either refused with a reason for each fault, or
// makes a provider that is content with itself; and filling twice is the same
// as once, for a change is tried before it is made.
func FuzzProviderBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"provider_key":"a","api_base":"http://x","api_key":""}`, `{"weight":null}`, `{"weight":1,"weight":2}`,
		`{"model_mapping":{"a":"b","*":"*"},"provider_params":{"idle_timeout_ms":5}}`, `{"api_base":"http://a@b"}`, `{"unknown":[[[[]]]]}`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p := newProvider()
		d := parse(body, providerFields)
		d.require()
		problems := d.judge(&p, checkProviderFields)
		for _, one := range problems {
			if one.Field == "" || one.Message == "" {
				t.Fatalf("%q: %v", body, problems)
			}
		}
		if len(problems) > 0 {
			return
		}
		if left := p.Validate(); len(left) > 0 {
			t.Fatalf("%q makes a provider with faults: %v", body, left)
		}
		again := newProvider()
		if left := d.fill(&again); len(left) > 0 || checkProviderFields(&again).Err() != nil || again.APIBase != p.APIBase {
			t.Fatalf("%q: filled again %+v, %v", body, again, left)
		}
	})
}

func FuzzCredentialBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"name":"x"}`, `{"name":"x","key":"sk-12345678"}`, `{"name":"x","rate_limit":null,"allowed_models":["*","a*"]}`, `{"name":"x","rate_limit":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newCredential()
		d := parse(body, credentialFields)
		d.require()
		if problems := d.judge(&c, checkCredentialFields); len(problems) > 0 {
			return
		}
		if c.key == "" {
			c.useKey(config.NewKey())
		}
		if left := c.Validate(); len(left) > 0 {
			t.Fatalf("%q makes a credential with faults: %v", body, left)
		}
	})
}
