package store_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"llmproxy/config"
	"llmproxy/store"
)

const canary = "sk-upstream-CANARY-3f9a1c"

func TestAProviderKeyIsNeverOnTheDiskInPlainText(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Sealer = store.NewSealer("a secret of some length")
		s := h.open(t)
		p := provider("sealed")
		p.APIKey = canary
		if _, err := s.AddProvider(ctx(t), p); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.APIKey += "-2"; return nil }); err != nil {
			t.Fatal(err)
		}
		if got := load(t, s).Providers[0].APIKey; got != canary+"-2" {
			t.Errorf("got key %q, want %q", got.Reveal(), canary+"-2")
		}
		onDisk := h.bytes(t)
		if strings.Contains(onDisk, "CANARY") || !strings.Contains(onDisk, "sealed:v1:") {
			t.Error("the key is on the disk in plain text, or not sealed")
		}
	})
}

func TestPlainKeysAreReadAndSealedByTheNextChange(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Sealer = store.NewSealer("a secret of some length")
		s := h.open(t)
		h.edit(t, `INSERT INTO providers (provider_key, api_base, api_key) VALUES ('hand', 'http://hand', '`+canary+`')`)
		p := load(t, s).Providers[0]
		if p.APIKey != canary {
			t.Fatalf("got key %q, want %q", p.APIKey.Reveal(), canary)
		}

		stored := func() (text string) {
			t.Helper()
			if err := h.hand.QueryRowContext(ctx(t), "SELECT api_key FROM providers").Scan(&text); err != nil {
				t.Fatal(err)
			}
			return text
		}
		touch := func() {
			t.Helper()
			if _, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.Weight++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		touch()
		first := stored()
		if !strings.HasPrefix(first, "sealed:v1:") {
			t.Error("a change left the key in plain text")
		}
		touch()
		if stored() != first {
			t.Error("a key that nobody changed was sealed anew")
		}
		if got := load(t, s).Providers[0].APIKey; got != canary {
			t.Errorf("got key %q, want %q", got.Reveal(), canary)
		}
	})
}

func TestWithoutASealerKeysStayPlain(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		p := provider("plain")
		p.APIKey = canary
		if _, err := s.AddProvider(ctx(t), p); err != nil {
			t.Fatal(err)
		}
		if got := load(t, s).Providers[0].APIKey; got != canary {
			t.Errorf("got key %q, want %q", got.Reveal(), canary)
		}
		// It would be read back as something sealed.
		p = provider("odd")
		p.APIKey = "sealed:v1:abc"
		if _, err := s.AddProvider(ctx(t), p); err == nil || !strings.Contains(err.Error(), "api_key") {
			t.Errorf("a key that looks sealed: got %v", err)
		}
	})
}

func TestTheWrongSecretKeyIsAnErrorThatNamesItAndCanBeMended(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		h.options.Sealer = store.NewSealer("a secret of some length")
		p := provider("locked-away")
		p.APIKey = canary
		if _, err := h.open(t).AddProvider(ctx(t), p); err != nil {
			t.Fatal(err)
		}
		sealed := ""
		if err := h.hand.QueryRowContext(ctx(t), "SELECT api_key FROM providers").Scan(&sealed); err != nil {
			t.Fatal(err)
		}

		for name, sealer := range map[string]*store.Sealer{"none": nil, "another": store.NewSealer("another secret")} {
			h.options.Sealer = sealer
			s := h.open(t)
			f := func(what string, err error) {
				t.Helper()
				if err == nil || !strings.Contains(err.Error(), "locked-away") || !strings.Contains(err.Error(), "SECRET_KEY") {
					t.Errorf("%s, %s: got %v, want an error with locked-away and SECRET_KEY", name, what, err)
				}
				if err != nil && (strings.Contains(err.Error(), sealed[20:]) || strings.Contains(err.Error(), "CANARY") || errors.Is(err, store.ErrUnavailable)) {
					t.Errorf("%s, %s: the error holds the data, or is an outage: %v", name, what, err)
				}
			}
			_, err := s.Load(ctx(t))
			f("load", err)
			_, _, err = s.Providers(ctx(t))
			f("providers", err)

			// A change of something else does not lose what is sealed …
			if _, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.Weight++; return nil }); err != nil {
				t.Errorf("%s: change: %v", name, err)
			}
			h.options.Sealer = store.NewSealer("a secret of some length")
			if got := load(t, h.open(t)).Providers[0].APIKey; got != canary {
				t.Errorf("%s: the key became %q", name, got.Reveal())
			}
		}

		// … and a new key is the way out.
		h.options.Sealer = store.NewSealer("another secret")
		s := h.open(t)
		if _, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.APIKey = "new"; return nil }); err != nil {
			t.Fatal(err)
		}
		if got := load(t, s).Providers[0].APIKey; got != "new" {
			t.Errorf("got key %q, want new", got.Reveal())
		}
	})
}

func TestSealing(t *testing.T) {
	one, two := store.NewSealer("one"), store.NewSealer("two")
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.String().Filter(func(s string) bool { return !strings.HasPrefix(s, "sealed:v1:") }).Draw(t, "secret")
		text, err := one.Seal(secret)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := one.Seal(secret); again == text && secret != "" {
			t.Fatal("the same secret is sealed to the same text twice")
		}
		if back, err := one.Open(text); err != nil || back != secret {
			t.Fatalf("got %q, %v", back, err)
		}
		if secret == "" {
			return
		}
		if back, err := two.Open(text); err == nil {
			t.Fatalf("another key opened it: %q", back)
		}
		i := rapid.IntRange(len("sealed:v1:"), len(text)-1).Draw(t, "at")
		changed := text[:i] + string(rapid.SampledFrom([]byte("AQZaqz019+/=-")).Draw(t, "to")) + text[i+1:]
		if back, err := one.Open(changed); err == nil && back != secret {
			t.Fatalf("a changed text opened as %q", back)
		}
	})
	if store.NewSealer("") != nil {
		t.Error("an empty secret makes a sealer")
	}
}
