-- The configuration of one embedded gateway: who is asked (providers), who may
-- ask (credentials), and a version that rises with every change of either.

CREATE TABLE providers (
    -- AUTOINCREMENT: the id of a removed row never comes back for another.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    provider_key    TEXT NOT NULL UNIQUE CHECK (provider_key <> ''),
    provider_type   TEXT NOT NULL DEFAULT 'openai',
    api_base        TEXT NOT NULL CHECK (api_base <> ''),
    api_key         TEXT NOT NULL DEFAULT '',
    model_mapping   TEXT DEFAULT '{}' CHECK (json_valid(model_mapping) AND json_type(model_mapping) IN ('object', 'null')),
    provider_params TEXT DEFAULT '{}' CHECK (json_valid(provider_params) AND json_type(provider_params) IN ('object', 'null')),
    weight          INTEGER NOT NULL DEFAULT 1 CHECK (weight >= 0),
    priority        INTEGER NOT NULL DEFAULT 0,
    is_enabled      INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE credentials (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of the key in lower-case hex. The form is checked so that a key
    -- itself cannot be stored by mistake.
    credential_key TEXT NOT NULL UNIQUE CHECK (length(credential_key) = 64 AND credential_key NOT GLOB '*[^0-9a-f]*'),
    key_preview    TEXT NOT NULL DEFAULT '',
    name           TEXT NOT NULL CHECK (name <> ''),
    allowed_models TEXT DEFAULT '[]' CHECK (json_valid(allowed_models) AND json_type(allowed_models) IN ('array', 'null')),
    rate_limit     INTEGER CHECK (rate_limit >= 0),
    is_enabled     INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),
    created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE config_version (
    id         INTEGER PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

INSERT INTO config_version (version) VALUES (1);

-- Small named values of this one gateway, such as the hash of its admin key.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The update triggers name their columns: keeping updated_at is itself an
-- update, and must not count as a second change.

CREATE TRIGGER providers_added AFTER INSERT ON providers BEGIN
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER providers_changed AFTER UPDATE OF
    id, provider_key, provider_type, api_base, api_key, model_mapping, provider_params, weight, priority, is_enabled
ON providers BEGIN
    UPDATE providers SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER providers_removed AFTER DELETE ON providers BEGIN
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER credentials_added AFTER INSERT ON credentials BEGIN
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER credentials_changed AFTER UPDATE OF
    id, credential_key, key_preview, name, allowed_models, rate_limit, is_enabled
ON credentials BEGIN
    UPDATE credentials SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;

CREATE TRIGGER credentials_removed AFTER DELETE ON credentials BEGIN
    INSERT INTO config_version (id, version) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET version = version + 1, updated_at = excluded.updated_at;
END;
