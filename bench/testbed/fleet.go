package testbed

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the embedded store's driver

	"llmproxy/config"
)

// A fleet is what StartFleet configures besides what StartGateway does. Each
// model is served by ten of the providers.
const (
	fleetProviders = 1_000
	fleetModels    = 1_000
	fleetKeys      = 100_000
)

// StartFleet is StartGateway for a gateway with the providers, models and keys of
// a large organisation. They are written into the store while the gateway
// does not run: the Admin API would take minutes for them.
func (b *Bed) StartFleet(settings ...string) (*Server, error) {
	dir := filepath.Join(b.Dir, "fleet")
	settings = append(settings, "DATA_DIR="+dir)
	first, err := b.StartGateway(settings...) // makes the store, and what is asked for
	if err != nil {
		return nil, err
	}
	first.stop()
	if err := fillFleet(b.ctx, filepath.Join(dir, "llm-proxy.db")); err != nil {
		return nil, fmt.Errorf("fill the store: %w", err)
	}
	s, err := b.startGateway(settings...)
	if err != nil {
		return nil, err
	}
	s.Name, s.Key = "fleet", first.Key
	return s, nil
}

// fillFleet inserts the fleet's rows. Its providers have an address where
// nobody listens; nobody asks for their models.
func fillFleet(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for i := range fleetProviders {
		models := ""
		for j := range 10 {
			models += fmt.Sprintf(`,"model-%d":"own-%[1]d"`, (i+j*100)%fleetModels)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO providers (provider_key, api_base, model_mapping, weight) VALUES (?, 'http://127.0.0.1:9/v1', ?, ?)`,
			fmt.Sprintf("fleet-%d", i), "{"+models[1:]+"}", 1+i%7); err != nil {
			return err
		}
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO credentials (credential_key, name, allowed_models, rate_limit) VALUES (?, ?, ?, 1000)`)
	if err != nil {
		return err
	}
	for i := range fleetKeys {
		if _, err := insert.ExecContext(ctx, config.HashKey(fmt.Sprintf("sk-fleet-%d", i)), fmt.Sprintf("fleet-%d", i),
			fmt.Sprintf(`["model-%d","gpt-*"]`, i%fleetModels)); err != nil {
			return err
		}
	}
	return tx.Commit()
}
