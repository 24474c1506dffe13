-- The configuration of the fleet: who is asked (providers), who may ask
-- (credentials), and a version that rises with every change of either.

CREATE TABLE providers (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_key    text NOT NULL UNIQUE CHECK (provider_key <> ''),
    provider_type   text NOT NULL DEFAULT 'openai',
    api_base        text NOT NULL CHECK (api_base <> ''),
    api_key         text NOT NULL DEFAULT '',
    model_mapping   jsonb DEFAULT '{}' CHECK (jsonb_typeof(model_mapping) IN ('object', 'null')),
    provider_params jsonb DEFAULT '{}' CHECK (jsonb_typeof(provider_params) IN ('object', 'null')),
    weight          bigint NOT NULL DEFAULT 1 CHECK (weight >= 0),
    priority        bigint NOT NULL DEFAULT 0,
    is_enabled      boolean NOT NULL DEFAULT true,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN providers.api_key IS 'sealed with SECRET_KEY ("sealed:v1:…"), or plain text';
COMMENT ON COLUMN providers.model_mapping IS 'public model name -> the provider''s own; empty serves every model';

CREATE TABLE credentials (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The form is checked so that a key itself cannot be stored by mistake.
    credential_key text NOT NULL UNIQUE CHECK (credential_key ~ '^[0-9a-f]{64}$'),
    key_preview    text NOT NULL DEFAULT '',
    name           text NOT NULL CHECK (name <> ''),
    allowed_models jsonb DEFAULT '[]' CHECK (jsonb_typeof(allowed_models) IN ('array', 'null')),
    rate_limit     bigint CHECK (rate_limit >= 0),
    is_enabled     boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN credentials.credential_key IS 'SHA-256 of the client''s key in lower-case hex: encode(sha256(''sk-…''), ''hex'')';
COMMENT ON COLUMN credentials.rate_limit IS 'requests per second; null is unlimited, 0 refuses every request';

CREATE TABLE config_version (
    id         smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    version    bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO config_version (version) VALUES (1);

-- The tables are named by the schema of the one that changed: a psql session
-- may have any search_path.
CREATE FUNCTION llm_proxy_raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO %I.config_version AS v (id, version, updated_at) VALUES (1, 1, clock_timestamp())
         ON CONFLICT (id) DO UPDATE SET version = v.version + 1, updated_at = clock_timestamp()',
        TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;

-- Announcing hangs on the version itself, so that raising it by hand is heard too.
CREATE FUNCTION llm_proxy_announce_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('llm_proxy_config', NEW.version::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION llm_proxy_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER providers_touch BEFORE UPDATE ON providers
    FOR EACH ROW EXECUTE FUNCTION llm_proxy_touch();

CREATE TRIGGER credentials_touch BEFORE UPDATE ON credentials
    FOR EACH ROW EXECUTE FUNCTION llm_proxy_touch();

CREATE TRIGGER providers_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON providers
    FOR EACH STATEMENT EXECUTE FUNCTION llm_proxy_raise_version();

CREATE TRIGGER credentials_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON credentials
    FOR EACH STATEMENT EXECUTE FUNCTION llm_proxy_raise_version();

CREATE TRIGGER config_version_changed AFTER INSERT OR UPDATE ON config_version
    FOR EACH ROW EXECUTE FUNCTION llm_proxy_announce_version();
