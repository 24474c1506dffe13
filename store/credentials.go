package store

import (
	"context"

	"llmproxy/config"
)

const (
	selectCredentials = `SELECT id, credential_key, key_preview, name, allowed_models, rate_limit,
		tpm_limit, budget_microusd, budget_period, max_concurrency, expires_at, is_enabled, created_at, updated_at FROM credentials`
	insertCredential = `INSERT INTO credentials (credential_key, key_preview, name, allowed_models, rate_limit,
		tpm_limit, budget_microusd, budget_period, max_concurrency, expires_at, is_enabled)
		VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10, $11) RETURNING id, created_at, updated_at`
	updateCredential = `UPDATE credentials SET credential_key = $1, key_preview = $2, name = $3,
		allowed_models = $4::jsonb, rate_limit = $5, tpm_limit = $6, budget_microusd = $7, budget_period = $8,
		max_concurrency = $9, expires_at = $10, is_enabled = $11 WHERE id = $12`
	deleteCredential = `DELETE FROM credentials WHERE id = $1`
)

// readCredentials returns all credentials; a row that cannot be read is added to wrong.
func (t *tables) readCredentials(x tx, wrong *faults) ([]config.Credential, error) {
	found, err := readAll[credentialRow](x, selectCredentials+" ORDER BY id")
	if err != nil {
		return nil, err
	}
	all := make([]config.Credential, 0, len(found))
	for i := range found {
		c, err := found[i].credential()
		if err != nil {
			*wrong = append(*wrong, err)
			continue
		}
		all = append(all, c)
	}
	return all, nil
}

// Credentials implements Store.
func (t *tables) Credentials(ctx context.Context) (all []config.Credential, version int64, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		if version, _, err = readVersion(x); err != nil {
			return err
		}
		var wrong faults
		if all, err = t.readCredentials(x, &wrong); err != nil {
			return err
		}
		return wrong.err()
	})
	return all, version, err
}

// Credential implements Store.
func (t *tables) Credential(ctx context.Context, id int64) (c config.Credential, version int64, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		if version, _, err = readVersion(x); err != nil {
			return err
		}
		c, err = readCredential(x, id, "")
		return err
	})
	return c, version, err
}

// readCredential returns one credential, its row locked if lock says so.
func readCredential(x tx, id int64, lock string) (config.Credential, error) {
	var row credentialRow
	if err := readOne(x, row.dest(), selectCredentials+" WHERE id = $1"+lock, id); err != nil {
		return config.Credential{}, noSuch("credential", id, err)
	}
	return row.credential()
}

// AddCredential implements Store.
func (t *tables) AddCredential(ctx context.Context, c *config.Credential) (int64, error) {
	row := newCredentialRow(c)
	version, err := t.change(ctx, func(x tx) error {
		return readOne(x, []any{&row.ID, &row.CreatedAt, &row.UpdatedAt}, insertCredential, row.values()...)
	})
	if err != nil {
		return 0, taken("the key of credential "+c.Name, err)
	}
	c.ID, c.CreatedAt, c.UpdatedAt = row.ID, row.CreatedAt.Time, row.UpdatedAt.Time
	return version, nil
}

// ChangeCredential implements Store.
func (t *tables) ChangeCredential(ctx context.Context, id int64, change func(*config.Credential) error) (int64, error) {
	return t.change(ctx, func(x tx) error {
		c, err := readCredential(x, id, forUpdate)
		if err != nil {
			return err
		}
		if err := change(&c); err != nil {
			return err
		}
		row := newCredentialRow(&c)
		return taken("the key of credential "+c.Name, execOne(x, updateCredential, append(row.values(), id)...))
	})
}

// RemoveCredential implements Store.
func (t *tables) RemoveCredential(ctx context.Context, id int64) (int64, error) {
	return t.change(ctx, func(x tx) error {
		return noSuch("credential", id, execOne(x, deleteCredential, id))
	})
}
