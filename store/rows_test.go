package store_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"llmproxy/config"
	"llmproxy/store"
)

func TestRowsThatCannotBeReadAreNamed(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		h.edit(t, `INSERT INTO providers (provider_key, api_base) VALUES ('hand', 'http://hand')`)
		h.edit(t, `INSERT INTO credentials (credential_key, name) VALUES ('`+config.HashKey("x")+`', 'team')`)

		f := func(set string, want ...string) {
			t.Helper()
			h.edit(t, "UPDATE "+set)
			_, err := s.Load(ctx(t))
			if err == nil || errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want an error about the row in one line", set, err)
				return
			}
			for _, part := range want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: got %v, want %q in it", set, err, part)
				}
			}
		}
		fine := func(set string) {
			t.Helper()
			h.edit(t, "UPDATE "+set)
			got := load(t, s)
			if p := got.Providers[0]; len(p.ModelMapping) != 0 || p.Params != (config.Params{}) {
				t.Errorf("%s: got %+v, want nothing", set, p)
			}
			if c := got.Credentials[0]; len(c.AllowedModels) != 0 {
				t.Errorf("%s: got %+v, want nothing", set, c)
			}
		}
		f(`providers SET model_mapping = '{"gpt-4": 4}'`, `provider "hand"`, "model_mapping", `"gpt-4"`, "a number")
		f(`providers SET model_mapping = '{"gpt-4": null}'`, `"gpt-4"`, "null")
		fine(`providers SET model_mapping = 'null'`)
		fine(`providers SET model_mapping = NULL`)
		f(`providers SET provider_params = '{"idle_timeout": 4}'`, `provider "hand"`, "provider_params.idle_timeout")
		f(`providers SET provider_params = '{"idle_timeout_ms": -4}'`, "provider_params.idle_timeout_ms")
		f(`providers SET provider_params = '{"idle_timeout_ms": "4"}'`, "provider_params.idle_timeout_ms")
		fine(`providers SET provider_params = 'null'`)
		fine(`providers SET provider_params = NULL`)
		f(`credentials SET allowed_models = '["a", 4]'`, `credential "team"`, "allowed_models", "entry 2", "a number")
		// Every fault at once.
		f(`providers SET model_mapping = '{"gpt-4": []}'`, `"hand"`, "model_mapping", `"team"`, "allowed_models")
		h.edit(t, `UPDATE providers SET model_mapping = '{}'`)
		fine(`credentials SET allowed_models = 'null'`)
		fine(`credentials SET allowed_models = NULL`)
	})
}

// A model of the tables in a few lines must agree with both databases over any
// sequence of changes.
func TestAnySequenceOfChanges(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Sealer = store.NewSealer("a secret of some length")
		s := h.open(t)
		rapid.Check(t, func(rt *rapid.T) {
			h.edit(t, "DELETE FROM providers")
			h.edit(t, "DELETE FROM credentials")
			want := &config.Set{Providers: []config.Provider{}, Credentials: []config.Credential{}, Prices: []config.Price{}}
			rt.Repeat(map[string]func(*rapid.T){
				"add provider": func(rt *rapid.T) {
					p := drawProvider(rt)
					if _, err := s.AddProvider(ctx(t), &p); errors.Is(err, store.ErrDuplicate) != hasProvider(want, p.Key) || err != nil && !errors.Is(err, store.ErrDuplicate) {
						rt.Fatalf("%+v: %v", p, err)
					} else if err == nil {
						want.Providers = append(want.Providers, p)
					}
				},
				"change provider": func(rt *rapid.T) {
					if len(want.Providers) == 0 {
						rt.Skip()
					}
					old := &want.Providers[rapid.IntRange(0, len(want.Providers)-1).Draw(rt, "which")]
					p := drawProvider(rt)
					p.Key, p.ID, p.CreatedAt = old.Key, old.ID, old.CreatedAt
					if _, err := s.ChangeProvider(ctx(t), old.ID, func(in *config.Provider) error { *in = p; return nil }); err != nil {
						rt.Fatal(err)
					}
					*old = p
				},
				"remove provider": func(rt *rapid.T) {
					if len(want.Providers) == 0 {
						rt.Skip()
					}
					i := rapid.IntRange(0, len(want.Providers)-1).Draw(rt, "which")
					if _, err := s.RemoveProvider(ctx(t), want.Providers[i].ID); err != nil {
						rt.Fatal(err)
					}
					want.Providers = append(want.Providers[:i:i], want.Providers[i+1:]...)
				},
				"add credential": func(rt *rapid.T) {
					c := config.Credential{
						Hash: config.HashKey(rapid.StringN(1, 8, -1).Draw(rt, "key")), Name: "n", Preview: "p",
						AllowedModels: rapid.SliceOfN(word, 0, 3).Draw(rt, "models"), Enabled: rapid.Bool().Draw(rt, "enabled"),
						BudgetPeriod: config.PeriodTotal,
					}
					if rapid.Bool().Draw(rt, "limited") {
						c.RateLimit = new(rapid.Int64Min(0).Draw(rt, "rate"))
					}
					if _, err := s.AddCredential(ctx(t), &c); err == nil {
						want.Credentials = append(want.Credentials, c)
					} else if !errors.Is(err, store.ErrDuplicate) {
						rt.Fatal(err)
					}
				},
				"": func(rt *rapid.T) {
					got := load(t, s)
					got.Version = 0
					for i := range min(len(got.Providers), len(want.Providers)) {
						got.Providers[i].UpdatedAt = want.Providers[i].UpdatedAt // a change moves it, and does not tell
					}
					if !reflect.DeepEqual(got, want) {
						rt.Fatalf("\n got %+v\nwant %+v", got, want)
					}
				},
			})
		})
	})
}

// word is any text that both databases can hold: PostgreSQL knows no NUL.
var word = rapid.String().Filter(func(s string) bool { return !strings.Contains(s, "\x00") })

func drawProvider(t *rapid.T) config.Provider {
	p := config.Provider{
		Key:          rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "key"),
		Type:         word.Draw(t, "type"),
		APIBase:      "http://" + word.Draw(t, "base"),
		APIKey:       config.Secret(word.Draw(t, "secret")),
		ModelMapping: rapid.MapOfN(word, word, 0, 4).Draw(t, "mapping"),
		Weight:       rapid.IntRange(0, 1<<40).Draw(t, "weight"),
		Priority:     rapid.IntRange(-10, 10).Draw(t, "priority"),
		Enabled:      rapid.Bool().Draw(t, "enabled"),
	}
	if rapid.Bool().Draw(t, "limited") {
		p.Params.MaxConcurrency = new(rapid.Int64Range(0, 1_000_000).Draw(t, "most"))
	}
	return p
}

func hasProvider(set *config.Set, key string) bool {
	for i := range set.Providers {
		if set.Providers[i].Key == key {
			return true
		}
	}
	return false
}
