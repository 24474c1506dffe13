DROP TABLE prices;

DROP TRIGGER credentials_changed;
ALTER TABLE credentials DROP COLUMN tpm_limit;
ALTER TABLE credentials DROP COLUMN budget_microusd;
ALTER TABLE credentials DROP COLUMN budget_period;
ALTER TABLE credentials DROP COLUMN max_concurrency;
ALTER TABLE credentials DROP COLUMN expires_at;
CREATE TRIGGER credentials_changed AFTER UPDATE OF
    id, credential_key, key_preview, name, allowed_models, rate_limit, is_enabled
ON credentials BEGIN
    UPDATE credentials SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;
