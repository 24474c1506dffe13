package store

import (
	"context"
	"errors"
	"fmt"

	"llmproxy/config"
)

const (
	selectProviders = `SELECT id, provider_key, provider_type, api_base, api_key, model_mapping, provider_params,
		weight, priority, is_enabled, created_at, updated_at FROM providers`
	insertProvider = `INSERT INTO providers (provider_key, provider_type, api_base, api_key, model_mapping, provider_params,
		weight, priority, is_enabled) VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8, $9)
		RETURNING id, created_at, updated_at`
	updateProvider = `UPDATE providers SET provider_key = $1, provider_type = $2, api_base = $3, api_key = $4,
		model_mapping = $5::jsonb, provider_params = $6::jsonb, weight = $7, priority = $8, is_enabled = $9 WHERE id = $10`
	deleteProvider = `DELETE FROM providers WHERE id = $1`
)

// readProviders returns all providers; a row that cannot be read is added to wrong.
func (t *tables) readProviders(x tx, wrong *faults) ([]config.Provider, error) {
	found, err := readAll[providerRow](x, selectProviders+" ORDER BY id")
	if err != nil {
		return nil, err
	}
	all := make([]config.Provider, 0, len(found))
	for i := range found {
		p, err := found[i].provider(t.sealer)
		if err != nil {
			*wrong = append(*wrong, err)
			continue
		}
		all = append(all, p)
	}
	return all, nil
}

// Providers implements Store.
func (t *tables) Providers(ctx context.Context) (all []config.Provider, version int64, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		if version, _, err = readVersion(x); err != nil {
			return err
		}
		var wrong faults
		if all, err = t.readProviders(x, &wrong); err != nil {
			return err
		}
		return wrong.err()
	})
	return all, version, err
}

// Provider implements Store.
func (t *tables) Provider(ctx context.Context, id int64) (p config.Provider, version int64, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		if version, _, err = readVersion(x); err != nil {
			return err
		}
		row, err := readProvider(x, id, "")
		if err != nil {
			return err
		}
		p, err = row.provider(t.sealer)
		return err
	})
	return p, version, err
}

// readProvider returns one row, locked if lock says so.
func readProvider(x tx, id int64, lock string) (row providerRow, err error) {
	err = readOne(x, row.dest(), selectProviders+" WHERE id = $1"+lock, id)
	return row, noSuch("provider", id, err)
}

// AddProvider implements Store.
func (t *tables) AddProvider(ctx context.Context, p *config.Provider) (int64, error) {
	row, err := newProviderRow(p, t.sealer)
	if err != nil {
		return 0, err
	}
	version, err := t.change(ctx, func(x tx) error {
		return readOne(x, []any{&row.ID, &row.CreatedAt, &row.UpdatedAt}, insertProvider, row.values()...)
	})
	if err != nil {
		return 0, taken("provider_key "+p.Key, err)
	}
	p.ID, p.CreatedAt, p.UpdatedAt = row.ID, row.CreatedAt.Time, row.UpdatedAt.Time
	return version, nil
}

// ChangeProvider implements Store.
func (t *tables) ChangeProvider(ctx context.Context, id int64, change func(*config.Provider) error) (int64, error) {
	return t.change(ctx, func(x tx) error {
		old, err := readProvider(x, id, forUpdate)
		if err != nil {
			return err
		}
		p, err := old.provider(t.sealer)
		if errors.Is(err, errSealed) {
			err = nil // the key alone is unreadable, and left empty
		}
		if err != nil {
			return err
		}
		before := p.APIKey
		if err := change(&p); err != nil {
			return err
		}
		row, err := newProviderRow(&p, t.sealer)
		if err != nil {
			return err
		}
		// A key that was not touched keeps its bytes, unless it is yet to be sealed.
		if p.APIKey == before && (isSealed(old.APIKey) || t.sealer == nil) {
			row.APIKey = old.APIKey
		}
		return taken("provider_key "+p.Key, execOne(x, updateProvider, append(row.values(), id)...))
	})
}

// RemoveProvider implements Store.
func (t *tables) RemoveProvider(ctx context.Context, id int64) (int64, error) {
	return t.change(ctx, func(x tx) error {
		return noSuch("provider", id, execOne(x, deleteProvider, id))
	})
}

// noSuch says what was not found.
func noSuch(what string, id int64, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%s %d: %w", what, id, ErrNotFound)
	}
	return err
}

// taken says what was there already.
func taken(what string, err error) error {
	if errors.Is(err, ErrDuplicate) {
		return fmt.Errorf("%s: %w", what, ErrDuplicate)
	}
	return err
}
