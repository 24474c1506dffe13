package main

import (
	"context"
	"errors"
	"fmt"

	"llmproxy/config"
	"llmproxy/store"
)

// firstStart is what a start with an empty embedded store made. The keys are
// shown once and kept only as hashes.
type firstStart struct {
	clientKey string // "" if there was one
	adminKey  string // "" if there was one, or ADMIN_KEY is set
}

// adminKeySetting is where the embedded store keeps the admin key's hash.
const adminKeySetting = "admin_key_hash"

// settings are the small named values that the embedded store keeps.
type settings interface {
	Setting(ctx context.Context, name string) (string, error)
	SetSetting(ctx context.Context, name, value string) error
}

// startEmbedded makes what an empty embedded store lacks to be of use at once:
// an admin key, a first provider if the environment names one, a client key.
func (g *gateway) startEmbedded(ctx context.Context) (made firstStart, err error) {
	ctx, cancel := context.WithTimeout(ctx, embeddedTimeout)
	defer cancel()
	if err = g.store.Migrate(ctx); err != nil {
		return made, err
	}
	if made.adminKey, err = g.ensureAdminKey(ctx, g.store.(settings)); err != nil {
		return made, fmt.Errorf("admin key: %w", err)
	}
	if err = g.ensureProvider(ctx); err != nil {
		return made, fmt.Errorf("first provider: %w", err)
	}
	if made.clientKey, err = g.ensureClientKey(ctx); err != nil {
		return made, fmt.Errorf("first client key: %w", err)
	}
	_, err = g.live.Reload(ctx)
	return made, err
}

// ensureAdminKey makes an admin key unless there is one: in ADMIN_KEY, or from
// an earlier start.
func (g *gateway) ensureAdminKey(ctx context.Context, s settings) (made string, err error) {
	if g.adminKey.isSet {
		return "", nil
	}
	hash, err := s.Setting(ctx, adminKeySetting)
	if err == nil && hash != "" {
		return "", g.adminKey.setHash(hash)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	made = "admin-" + config.NewKey()[len("sk-"):]
	if err := s.SetSetting(ctx, adminKeySetting, config.HashKey(made)); err != nil {
		return "", err
	}
	g.adminKey.set(made)
	return made, nil
}

// ensureProvider makes a provider of OPENAI_API_KEY if the store has none.
func (g *gateway) ensureProvider(ctx context.Context) error {
	if g.o.OpenAIAPIKey == "" {
		return nil
	}
	existing, _, err := g.store.Providers(ctx)
	if err != nil || len(existing) > 0 {
		return err
	}
	p := config.Provider{
		Key: "openai", Type: "openai", APIBase: g.o.OpenAIBaseURL, APIKey: g.o.OpenAIAPIKey,
		Weight: 1, Enabled: true,
	}
	if problems := p.Validate(); len(problems) > 0 {
		return problems
	}
	_, err = g.store.AddProvider(ctx, &p)
	return err
}

// ensureClientKey makes a client key if the store has none and nobody may come
// in without.
func (g *gateway) ensureClientKey(ctx context.Context) (made string, err error) {
	existing, _, err := g.store.Credentials(ctx)
	if err != nil || len(existing) > 0 || g.o.AllowAnonymous {
		return "", err
	}
	made = config.NewKey()
	c := config.Credential{
		Hash: config.HashKey(made), Preview: config.Preview(made), Name: "default", Enabled: true,
	}
	_, err = g.store.AddCredential(ctx, &c)
	return made, err
}
