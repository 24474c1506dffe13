-- What a client key may use besides its rate, and what tokens cost.

ALTER TABLE credentials ADD COLUMN tpm_limit INTEGER CHECK (tpm_limit >= 0);
ALTER TABLE credentials ADD COLUMN budget_microusd INTEGER CHECK (budget_microusd >= 0);
ALTER TABLE credentials ADD COLUMN budget_period TEXT NOT NULL DEFAULT 'month' CHECK (budget_period IN ('day', 'month', 'total'));
ALTER TABLE credentials ADD COLUMN max_concurrency INTEGER CHECK (max_concurrency >= 0);
ALTER TABLE credentials ADD COLUMN expires_at TEXT;

DROP TRIGGER credentials_changed;
CREATE TRIGGER credentials_changed AFTER UPDATE OF
    id, credential_key, key_preview, name, allowed_models, rate_limit, is_enabled,
    tpm_limit, budget_microusd, budget_period, max_concurrency, expires_at
ON credentials BEGIN
    UPDATE credentials SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

-- Millionths of a US dollar per million tokens. model is the provider's name
-- of the model, or a public one, and may end in *; provider is a provider_key,
-- empty for every provider.
CREATE TABLE prices (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    model                 TEXT NOT NULL CHECK (model <> ''),
    provider              TEXT NOT NULL DEFAULT '',
    input_microusd        INTEGER NOT NULL CHECK (input_microusd >= 0),
    output_microusd       INTEGER NOT NULL CHECK (output_microusd >= 0),
    cached_input_microusd INTEGER CHECK (cached_input_microusd >= 0), -- null: as input
    reasoning_microusd    INTEGER CHECK (reasoning_microusd >= 0),    -- null: as output
    source                TEXT NOT NULL DEFAULT '',
    as_of                 TEXT NOT NULL DEFAULT '',
    created_at            TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at            TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (provider, model)
) STRICT;

CREATE TRIGGER prices_added AFTER INSERT ON prices BEGIN
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER prices_changed AFTER UPDATE OF
    id, model, provider, input_microusd, output_microusd, cached_input_microusd, reasoning_microusd, source, as_of
ON prices BEGIN
    UPDATE prices SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER prices_removed AFTER DELETE ON prices BEGIN
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;
